"""A search protocol as data: which images count for a query, and where its target is in them."""

from dataclasses import dataclass

import numpy as np

from .ranges import expand_ranges, indptr_from_counts


@dataclass(frozen=True)
class Protocol:
    """What every query is searched in, and what it should find there.

    Shape shorthand: I images, Q queries, T boxes of persons that are somebody's target.

    The gallery of a query is either all images or an explicit list of them, less the query's own
    image and less the images of its own group (camera), where given. Memory is linear in
    I + Q + T and the lengths of the two lists.

    Args:
        num_images: I.
        target_image: image of each target box, (T,) int64.
        target_bboxes: (T, 4) float, x1, y1, x2, y2, pixels of the original image.
        target_indptr: targets of query q are
            ``target_indices[target_indptr[q]:target_indptr[q + 1]]``, (Q + 1,) int64. Targets
            outside the gallery of the query are allowed and not looked for.
        target_indices: indices into the target boxes, (P,) int64. Several queries may share one.
        own_image: the image that does not count for each query, -1 for none, (Q,) int64.
        query_group: images of the same group as the query do not count, (Q,) int64; with
            ``image_group`` (I,), or both None.
        image_group: see ``query_group``.
        gallery_indptr: the images of query q are
            ``gallery_images[gallery_indptr[q]:gallery_indptr[q + 1]]``, (Q + 1,) int64; None if
            all images count.
        gallery_images: (L,) int64, ascending and without repetition within a query.

    Raises:
        ValueError: if the arrays do not fit each other; the message names the array.
    """

    num_images: int
    target_image: np.ndarray
    target_bboxes: np.ndarray
    target_indptr: np.ndarray
    target_indices: np.ndarray
    own_image: np.ndarray
    query_group: np.ndarray | None = None
    image_group: np.ndarray | None = None
    gallery_indptr: np.ndarray | None = None
    gallery_images: np.ndarray | None = None

    def __post_init__(self) -> None:
        _check_range('target_image', self.target_image, 0, self.num_images)
        _check_range('own_image', self.own_image, -1, self.num_images)
        if self.target_bboxes.shape != (len(self.target_image), 4):
            raise ValueError(
                f'target_bboxes has shape {self.target_bboxes.shape}, '
                f'expected ({len(self.target_image)}, 4)'
            )
        _check_csr('target', self.target_indptr, self.target_indices, self.num_queries)
        _check_range('target_indices', self.target_indices, 0, len(self.target_image))
        if (self.query_group is None) != (self.image_group is None):
            raise ValueError('query_group and image_group go together: give both or neither')
        for name, group, size in (
            ('query_group', self.query_group, self.num_queries),
            ('image_group', self.image_group, self.num_images),
        ):
            if group is not None and group.shape != (size,):
                raise ValueError(f'{name} has shape {group.shape}, expected ({size},)')
        if (self.gallery_indptr is None) != (self.gallery_images is None):
            raise ValueError('gallery_indptr and gallery_images go together: give both or neither')
        if self.gallery_indptr is not None and self.gallery_images is not None:
            _check_csr('gallery', self.gallery_indptr, self.gallery_images, self.num_queries)
            _check_range('gallery_images', self.gallery_images, 0, self.num_images)
            if (np.diff(self._gallery_keys()) <= 0).any():
                raise ValueError('gallery_images must be ascending, without repetition, per query')

    @property
    def num_queries(self) -> int:
        """Number of queries Q."""
        return len(self.own_image)

    def in_gallery(self, query: np.ndarray, image: np.ndarray) -> np.ndarray:
        """Whether ``image[i]`` counts for ``query[i]``.

        Args:
            query: (P,) int64.
            image: (P,) int64.

        Returns:
            (P,) bool.
        """
        counts = self.own_image[query] != image
        if self.query_group is not None and self.image_group is not None:
            counts &= self.query_group[query] != self.image_group[image]
        if self.gallery_indptr is not None:
            listed = self._gallery_keys()
            wanted = query * self.num_images + image
            place = np.minimum(np.searchsorted(listed, wanted), max(len(listed) - 1, 0))
            counts &= listed[place] == wanted if len(listed) else False
        return counts

    def listed_gallery(self, query: int) -> np.ndarray | None:
        """The images that count for a query, ascending; None if they are not given as a list."""
        if self.gallery_indptr is None or self.gallery_images is None:
            return None
        images = self.gallery_images[self.gallery_indptr[query] : self.gallery_indptr[query + 1]]
        keep = images != self.own_image[query]
        if self.query_group is not None and self.image_group is not None:
            keep &= self.image_group[images] != self.query_group[query]
        return images[keep]

    def targets(self) -> tuple[np.ndarray, np.ndarray]:
        """All pairs of a query and a target that lies in its gallery.

        Returns:
            query (P,) ascending, and index into the target boxes (P,).
        """
        query = np.repeat(np.arange(self.num_queries), np.diff(self.target_indptr))
        keep = self.in_gallery(query, self.target_image[self.target_indices])
        return query[keep], self.target_indices[keep]

    def _gallery_keys(self) -> np.ndarray:
        assert self.gallery_indptr is not None
        assert self.gallery_images is not None
        query = np.repeat(np.arange(self.num_queries), np.diff(self.gallery_indptr))
        return query * self.num_images + self.gallery_images


def identity_protocol(
    gt_image: np.ndarray,
    gt_bboxes: np.ndarray,
    *,
    gt_pids: np.ndarray,
    query_image: np.ndarray,
    query_pids: np.ndarray,
    num_images: int,
    image_group: np.ndarray | None = None,
) -> Protocol:
    """A query is searched in every image but its own; its targets are the boxes of its identity.

    Args:
        gt_image: image of each annotated person, (G,) int64.
        gt_bboxes: (G, 4), x1, y1, x2, y2.
        gt_pids: (G,) int64, negative for a person without identity.
        query_image: (Q,) int64.
        query_pids: (Q,) int64.
        num_images: I.
        image_group: images of the group of the query's own image (its camera, its sequence) do
            not count either, (I,) int64; None: they do.
    """
    labelled = np.flatnonzero(gt_pids >= 0)
    order = labelled[np.argsort(gt_pids[labelled], kind='stable')]
    sorted_pids = gt_pids[order]
    first = np.searchsorted(sorted_pids, query_pids, side='left')
    counts = np.searchsorted(sorted_pids, query_pids, side='right') - first
    return Protocol(
        num_images=num_images,
        target_image=gt_image[order],
        target_bboxes=gt_bboxes[order],
        target_indptr=indptr_from_counts(counts),
        target_indices=expand_ranges(first, counts),
        own_image=query_image,
        query_group=None if image_group is None else image_group[query_image],
        image_group=image_group,
    )


def _check_range(name: str, values: np.ndarray, low: int, high: int) -> None:
    if values.ndim != 1 or values.dtype.kind != 'i':
        raise ValueError(f'{name} must be a vector of integers, got {values.dtype} {values.shape}')
    wrong = np.flatnonzero((values < low) | (values >= high))
    if len(wrong):
        raise ValueError(f'{name}[{wrong[0]}] is {values[wrong[0]]}, outside of {low}..{high - 1}')


def _check_csr(name: str, indptr: np.ndarray, indices: np.ndarray, rows: int) -> None:
    if (
        indptr.shape != (rows + 1,)
        or indptr[0] != 0
        or indptr[-1] != len(indices)
        or (np.diff(indptr) < 0).any()
    ):
        raise ValueError(
            f'{name}_indptr must have {rows + 1} ascending entries from 0 to {len(indices)}'
        )
