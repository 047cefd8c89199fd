"""What a model found on a test set: the one exchange format of model, evaluation and pictures.

Shape shorthand: I images, N detections, G annotated persons, Q queries, D size of an embedding.
"""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from .predictions_file import read_predictions_file, write_predictions_file


class ArraySpec(NamedTuple):
    """What an array of :class:`Predictions` must look like.

    Args:
        dtype: ``np.str_``, ``np.int64`` or ``np.float32``.
        columns: of a matrix; None for a vector. 'D' is the size of an embedding.
        rows_of: the array that sets the number of rows.
    """

    dtype: type
    columns: int | Literal['D', 'D or 0'] | None
    rows_of: str


ARRAYS: Mapping[str, ArraySpec] = {
    'image_names': ArraySpec(np.str_, None, 'image_names'),
    'image_paths': ArraySpec(np.str_, None, 'image_names'),
    'camera_ids': ArraySpec(np.int64, None, 'image_names'),
    'sequence_ids': ArraySpec(np.int64, None, 'image_names'),
    'image_sizes': ArraySpec(np.int64, 2, 'image_names'),
    'det_image': ArraySpec(np.int64, None, 'det_image'),
    'det_bboxes': ArraySpec(np.float32, 4, 'det_image'),
    'det_scores': ArraySpec(np.float32, None, 'det_image'),
    'det_embeddings': ArraySpec(np.float32, 'D', 'det_image'),
    'gt_image': ArraySpec(np.int64, None, 'gt_image'),
    'gt_bboxes': ArraySpec(np.float32, 4, 'gt_image'),
    'gt_pids': ArraySpec(np.int64, None, 'gt_image'),
    'gt_embeddings': ArraySpec(np.float32, 'D or 0', 'gt_image'),
    'query_image': ArraySpec(np.int64, None, 'query_image'),
    'query_bboxes': ArraySpec(np.float32, 4, 'query_image'),
    'query_pids': ArraySpec(np.int64, None, 'query_image'),
    'query_ids': ArraySpec(np.int64, None, 'query_image'),
    'query_embeddings': ArraySpec(np.float32, 'D', 'query_image'),
}
_KINDS = {np.str_: 'U', np.int64: 'iu', np.float32: 'f'}


@dataclass
class Predictions:
    """Detections, annotations and queries of one test set.

    Boxes are x1, y1, x2, y2 in pixels of the original image; they may reach beyond it. Embeddings
    are L2-normalised and not weighted by the detection score; the similarity of one that is zero
    with all others is 0.

    Args:
        image_names: file names, (I,), all different.
        image_paths: where the images are, (I,).
        camera_ids: (I,), -1 where unknown.
        sequence_ids: the video of each image, (I,), -1 where unknown.
        image_sizes: height and width in pixels, (0, 0) where unknown, (I, 2).
        det_image: the image of each detection, an index into the images, (N,).
        det_bboxes: (N, 4).
        det_scores: (N,).
        det_embeddings: (N, D).
        gt_image: the image of each annotated person, (G,).
        gt_bboxes: (G, 4).
        gt_pids: identities, -1 for a person without one, (G,).
        gt_embeddings: of the annotated boxes, (G, D); (G, 0) where they were not embedded.
        query_image: the image that each query was drawn from, (Q,).
        query_bboxes: (Q, 4).
        query_pids: (Q,), none negative.
        query_ids: place of each query in the data set's list, (Q,), all different.
        query_embeddings: (Q, D).
        meta: a dict of anything that JSON can hold: data set, model, versions.

    Raises:
        ValueError: if an array has a wrong type, shape or content; the message names it and, where
            one entry is wrong, the entry and its image.
    """

    image_names: np.ndarray
    image_paths: np.ndarray
    camera_ids: np.ndarray
    sequence_ids: np.ndarray
    image_sizes: np.ndarray
    det_image: np.ndarray
    det_bboxes: np.ndarray
    det_scores: np.ndarray
    det_embeddings: np.ndarray
    gt_image: np.ndarray
    gt_bboxes: np.ndarray
    gt_pids: np.ndarray
    gt_embeddings: np.ndarray
    query_image: np.ndarray
    query_bboxes: np.ndarray
    query_pids: np.ndarray
    query_ids: np.ndarray
    query_embeddings: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ARRAYS:
            setattr(self, name, _as_array(name, getattr(self, name)))
        self._check_shapes()
        self._check_images()
        self._check_queries()
        self._check_numbers()

    @property
    def num_images(self) -> int:
        """Number of images I."""
        return len(self.image_names)

    @property
    def num_queries(self) -> int:
        """Number of queries Q."""
        return len(self.query_image)

    @property
    def has_gt_embeddings(self) -> bool:
        """Whether the annotated boxes, if there are any, were embedded."""
        return len(self.gt_image) == 0 or self.gt_embeddings.shape[1] > 0

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a versioned .npz file (no pickle), all of it or nothing.

        Args:
            path: file to write; its folder is made if need be.

        Raises:
            ValueError: if ``path`` does not end in .npz or ``meta`` is not JSON.
        """
        arrays = {name: getattr(self, name) for name in ARRAYS}
        write_predictions_file(path, arrays, meta=self.meta)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> 'Predictions':
        """Read what :meth:`save` wrote, also of version 1 of the format.

        Args:
            path: a .npz file.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is damaged, of another kind or of a newer version, or if an
                array is missing or wrong.
        """
        arrays, meta = read_predictions_file(path, names=ARRAYS)
        try:
            return cls(meta=meta, **arrays)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error

    def _check_shapes(self) -> None:
        dim = self.det_embeddings.shape[1]
        for name, (_, columns, rows_of) in ARRAYS.items():
            rows = len(getattr(self, rows_of))
            shape = getattr(self, name).shape
            source = f'{rows_of} has {rows} entries'
            expected: tuple[int, ...] = (rows,)
            if columns == 'D or 0' and shape[1] == 0:
                expected = (rows, 0)
            elif columns in ('D', 'D or 0'):
                expected = (rows, dim)
                source += f', det_embeddings {dim} columns'
            elif isinstance(columns, int):
                expected = (rows, columns)
            if shape != expected:
                raise ValueError(f'{name} has shape {shape}, expected {expected} ({source})')

    def _check_images(self) -> None:
        names, counts = np.unique(self.image_names, return_counts=True)
        if len(names) < self.num_images:
            raise ValueError(f"image_names: '{names[counts > 1][0]}' occurs more than once")
        for name in ('det_image', 'gt_image', 'query_image'):
            index = getattr(self, name)
            wrong = np.flatnonzero((index < 0) | (index >= self.num_images))
            if len(wrong):
                raise ValueError(
                    f'{name}[{wrong[0]}] is {index[wrong[0]]}, not one of {self.num_images} images'
                )

    def _check_queries(self) -> None:
        ids, counts = np.unique(self.query_ids, return_counts=True)
        if len(ids) < self.num_queries:
            raise ValueError(f'query_ids: {ids[counts > 1][0]} occurs more than once')
        wrong = np.flatnonzero(self.query_pids < 0)
        if len(wrong):
            raise ValueError(
                f'query_pids[{wrong[0]}] is {self.query_pids[wrong[0]]}: a query needs an identity'
            )

    def _check_numbers(self) -> None:
        for name, (dtype, columns, rows_of) in ARRAYS.items():
            if dtype is not np.float32:
                continue
            values = getattr(self, name)
            problem, wrong = 'is NaN or infinite', ~np.isfinite(values)
            if columns == 4 and not wrong.any():
                problem = 'is not x1 <= x2 and y1 <= y2'
                wrong = values[:, 2:] < values[:, :2]
            if wrong.any():
                row = int(np.argwhere(wrong)[0, 0])
                image = self.image_names[getattr(self, rows_of)[row]]
                raise ValueError(f"{name}[{row}] of image '{image}' {problem}")


def _as_array(name: str, value: Any) -> np.ndarray:
    """``value`` as an array of the declared type, refusing what would lose information."""
    dtype, columns, _ = ARRAYS[name]
    array = np.asarray(value)
    ndim = 1 if columns is None else 2
    if array.ndim != ndim:
        raise ValueError(f'{name} has shape {array.shape}, expected {ndim} dimensions')
    if array.size == 0:
        return array.astype(dtype)
    if array.dtype.kind not in _KINDS[dtype]:
        raise ValueError(f'{name} has dtype {array.dtype}, expected {np.dtype(dtype).name}')
    if dtype is np.str_:
        return array
    with np.errstate(over='ignore'):  # too large for float32: refused as infinite
        return array.astype(dtype, copy=False)


assert list(ARRAYS) == [f.name for f in dataclasses.fields(Predictions) if f.name != 'meta']
