"""What a model found on a test set: the one exchange format of model, evaluation and pictures.

Shape shorthand: I images, N detections, G annotated persons, Q queries, D size of an embedding.
"""

import dataclasses
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 'mmps.predictions'
FORMAT_VERSION = 2
_NEW_IN_VERSION_2 = frozenset({'sequence_ids', 'gt_embeddings'})

# name -> (dtype, columns or None for a vector, the array that sets the number of rows)
_ARRAYS: Mapping[str, tuple[type, int | str | None, str]] = {
    'image_names': (np.str_, None, 'image_names'),
    'image_paths': (np.str_, None, 'image_names'),
    'camera_ids': (np.int64, None, 'image_names'),
    'sequence_ids': (np.int64, None, 'image_names'),
    'image_sizes': (np.int64, 2, 'image_names'),
    'det_image': (np.int64, None, 'det_image'),
    'det_bboxes': (np.float32, 4, 'det_image'),
    'det_scores': (np.float32, None, 'det_image'),
    'det_embeddings': (np.float32, 'D', 'det_image'),
    'gt_image': (np.int64, None, 'gt_image'),
    'gt_bboxes': (np.float32, 4, 'gt_image'),
    'gt_pids': (np.int64, None, 'gt_image'),
    'gt_embeddings': (np.float32, 'D or 0', 'gt_image'),
    'query_image': (np.int64, None, 'query_image'),
    'query_bboxes': (np.float32, 4, 'query_image'),
    'query_pids': (np.int64, None, 'query_image'),
    'query_ids': (np.int64, None, 'query_image'),
    'query_embeddings': (np.float32, 'D', 'query_image'),
}
_KINDS = {np.str_: 'U', np.int64: 'iu', np.float32: 'f'}


@dataclass
class Predictions:
    """Detections, annotations and queries of one test set.

    Boxes are x1, y1, x2, y2 in pixels of the original image; embeddings are L2-normalised and not
    weighted by the detection score.

    Args:
        image_names: file names, (I,), all different.
        image_paths: where the images are, (I,).
        camera_ids: (I,), -1 where unknown.
        sequence_ids: the video of each image, (I,), -1 where unknown.
        image_sizes: height and width in pixels, (I, 2).
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
        meta: anything that JSON can hold: data set, model, versions.

    Raises:
        ValueError: if an array has a wrong type, shape or content; the message names it.
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
        for name in _ARRAYS:
            setattr(self, name, _as_array(name, getattr(self, name)))
        self._check_shapes()
        self._check_contents()

    @property
    def num_images(self) -> int:
        """Number of images I."""
        return len(self.image_names)

    @property
    def num_queries(self) -> int:
        """Number of queries Q."""
        return len(self.query_image)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a versioned .npz file (no pickle), all of it or nothing.

        Args:
            path: file to write; its folder is made if need be.

        Raises:
            ValueError: if ``path`` does not end in .npz or ``meta`` is not JSON.
        """
        target = Path(path)
        if target.suffix != '.npz':
            raise ValueError(f"Predictions are saved as .npz, got path='{target}'")
        try:
            meta = json.dumps(self.meta)
        except (TypeError, ValueError) as error:
            raise ValueError(f'Predictions.meta must be JSON: {error}') from error
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        target.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, since a rename is atomic only within a file system.
        handle, temporary = tempfile.mkstemp(suffix='.tmp', prefix=target.name, dir=target.parent)
        try:
            with os.fdopen(handle, 'wb') as file:
                np.savez(file, format=FORMAT, format_version=FORMAT_VERSION, meta=meta, **arrays)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)  # mkstemp's files are for their owner only
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> 'Predictions':
        """Read what :meth:`save` wrote.

        Args:
            path: a .npz file.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is damaged, of another kind or of a newer version, or if an
                array is missing or wrong.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f'No prediction file {path}')
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (
            OSError,
            EOFError,
            ValueError,
            AttributeError,  # np.load gives a bare array for a .npy file (Python 3.10)
            TypeError,  # the same in later versions of Python
            NotImplementedError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise ValueError(
                f'{path} is not a readable prediction file ({type(error).__name__}: {error}); '
                'it may have been cut short: write it again with the `dump` of PersonSearchMetric'
            ) from error
        if str(arrays.pop('format', '')) != FORMAT:
            raise ValueError(f'{path} is a .npz file, but not of mmps predictions')
        version = int(arrays.pop('format_version', 0))
        if version not in (1, FORMAT_VERSION):
            raise ValueError(
                f'{path} has version {version} of the prediction format, this mmps reads '
                f'versions 1 to {FORMAT_VERSION}: use the mmps that wrote it, or write it again'
            )
        expected = {*_ARRAYS, 'meta'} - (_NEW_IN_VERSION_2 if version == 1 else set())
        if arrays.keys() != expected:
            raise ValueError(
                f'{path}: missing arrays {sorted(expected - arrays.keys())}, '
                f'unknown arrays {sorted(arrays.keys() - expected)}'
            )
        if version == 1:
            arrays['sequence_ids'] = np.full(arrays['image_names'].shape, -1)
            arrays['gt_embeddings'] = np.zeros((*arrays['gt_image'].shape, 0), np.float32)
        try:
            return cls(meta=json.loads(str(arrays.pop('meta'))), **arrays)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error

    def _check_shapes(self) -> None:
        dim = self.det_embeddings.shape[-1] if self.det_embeddings.ndim == 2 else 0
        for name, (_, columns, rows_of) in _ARRAYS.items():
            rows = len(getattr(self, rows_of))
            shape = getattr(self, name).shape
            width = columns
            if columns in ('D', 'D or 0'):
                width = 0 if columns == 'D or 0' and shape[1:] == (0,) else dim
            expected = (rows,) if width is None else (rows, width)
            if shape != expected:
                raise ValueError(
                    f'{name} has shape {shape}, expected {expected} '
                    f'({rows_of} has {rows} entries'
                    + (f', det_embeddings {dim} columns)' if width == dim else ')')
                )

    def _check_contents(self) -> None:
        names, counts = np.unique(self.image_names, return_counts=True)
        if len(names) < self.num_images:
            raise ValueError(f"image_names: '{names[counts > 1][0]}' occurs more than once")
        if len(np.unique(self.query_ids)) < self.num_queries:
            raise ValueError('query_ids: some id occurs more than once')
        for name in ('det_image', 'gt_image', 'query_image'):
            index = getattr(self, name)
            wrong = np.flatnonzero((index < 0) | (index >= self.num_images))
            if len(wrong):
                raise ValueError(
                    f'{name}[{wrong[0]}] is {index[wrong[0]]}, not one of {self.num_images} images'
                )
        wrong = np.flatnonzero(self.query_pids < 0)
        if len(wrong):
            raise ValueError(
                f'query_pids[{wrong[0]}] is {self.query_pids[wrong[0]]}: a query needs an identity'
            )
        for name, (dtype, _, rows_of) in _ARRAYS.items():
            if dtype is not np.float32:
                continue
            values = getattr(self, name)
            if np.isfinite(values).all():
                continue
            row = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0])
            image = self.image_names[getattr(self, rows_of)[row]]
            raise ValueError(f"{name}[{row}] of image '{image}' is NaN or infinite")


def _as_array(name: str, value: Any) -> np.ndarray:
    """``value`` as an array of the declared type, refusing what would lose information."""
    dtype = _ARRAYS[name][0]
    array = np.asarray(value)
    if array.size == 0:
        return array.astype(dtype)
    if array.dtype.kind not in _KINDS[dtype]:
        raise ValueError(f'{name} has dtype {array.dtype}, expected {np.dtype(dtype).name}')
    return array if dtype is np.str_ else array.astype(dtype, copy=False)


assert list(_ARRAYS) == [f.name for f in dataclasses.fields(Predictions) if f.name != 'meta']
