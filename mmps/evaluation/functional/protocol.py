"""A search protocol as data: which images count for a query, and where its target is in them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .checks import check_indices, check_integers, check_numbers
from .ranges import expand_ranges, indptr_from_counts


@dataclass(frozen=True)
class Protocol:
    """What every query is searched in, and what it should find there.

    Shape shorthand: I images, Q queries, T boxes of persons that are somebody's target.

    The gallery of a query is all images in their order, less the query's own image and less the
    images of its own group (camera), where given; or an explicit list of images, as it is and in
    its order. The order matters for equal similarities alone. Memory is linear in I + Q + T and
    the lengths of the two lists.

    Args:
        num_images: I.
        target_image: image of each target box, (T,) int64.
        target_bboxes: (T, 4) float, x1, y1, x2, y2, pixels of the original image.
        target_indptr: targets of query q are
            ``target_indices[target_indptr[q]:target_indptr[q + 1]]``, (Q + 1,) int64. Targets
            outside the gallery of the query are allowed and not looked for.
        target_indices: indices into the target boxes, (P,) int64. Several queries may share one.
        own_image: the image that does not count for each query unless it is listed, -1 for none,
            (Q,) int64.
        query_group: images of the same group as the query do not count unless they are listed,
            (Q,) int64; with ``image_group`` (I,), or both None.
        image_group: see ``query_group``.
        gallery_indptr: the images of query q are
            ``gallery_images[gallery_indptr[q]:gallery_indptr[q + 1]]``, (Q + 1,) int64; None if
            all images count.
        gallery_images: (L,) int64, in the order of the protocol's file, without repetition within
            a query.
        full_set: all images count, and the listed ones are those that SeqNet's code takes a
            second time, at the end; see :mod:`mmps.evaluation.functional.ranking`.
        queries: which of the queries given to a search this protocol searches with, (Q,) int64;
            None: all of them.
        num_to_find: what published matching divides the AP by, where that is not the number of
            gallery images with the target (CUHK-SYSU lists some images twice), (Q,) int64; None:
            it is.

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
    full_set: bool = False
    queries: np.ndarray | None = None
    num_to_find: np.ndarray | None = None

    def __post_init__(self) -> None:
        check_indices('target_image', self.target_image, high=self.num_images)
        check_indices('own_image', self.own_image, low=-1, high=self.num_images)
        check_numbers('target_bboxes', self.target_bboxes, shape=(len(self.target_image), 4))
        wrong = np.flatnonzero((self.target_bboxes[:, 2:] < self.target_bboxes[:, :2]).any(axis=1))
        if len(wrong):
            box = self.target_bboxes[wrong[0]].tolist()
            raise ValueError(f'target_bboxes[{wrong[0]}] is {box}: x2 < x1 or y2 < y1')
        _check_csr('target', self.target_indptr, self.target_indices, self.num_queries)
        check_indices('target_indices', self.target_indices, high=len(self.target_image))
        if (self.query_group is None) != (self.image_group is None):
            raise ValueError('query_group and image_group go together: give both or neither')
        if self.query_group is not None and self.image_group is not None:
            check_integers('query_group', self.query_group, size=self.num_queries)
            check_integers('image_group', self.image_group, size=self.num_images)
        if (self.gallery_indptr is None) != (self.gallery_images is None):
            raise ValueError('gallery_indptr and gallery_images go together: give both or neither')
        if self.gallery_indptr is not None and self.gallery_images is not None:
            _check_csr('gallery', self.gallery_indptr, self.gallery_images, self.num_queries)
            check_indices('gallery_images', self.gallery_images, high=self.num_images)
            keys = self._sorted_list[0]
            repeated = keys[1:][np.diff(keys) == 0]
            if len(repeated):
                query, image = divmod(int(repeated[0]), self.num_images)
                raise ValueError(f'gallery_images names image {image} twice for query {query}')
        elif self.full_set:
            raise ValueError('full_set needs gallery_indptr: without lists all images count')
        for name in ('queries', 'num_to_find'):
            if getattr(self, name) is not None:
                check_integers(name, getattr(self, name), size=self.num_queries)

    @property
    def num_queries(self) -> int:
        """Number of queries Q."""
        return len(self.own_image)

    def list_position(self, query: np.ndarray, image: np.ndarray) -> np.ndarray:
        """The place in ``gallery_images`` at which ``image[i]`` is listed for ``query[i]``.

        Args:
            query: (P,) int64.
            image: (P,) int64.

        Returns:
            (P,) int64, -1 where it is not listed.
        """
        keys, positions = self._sorted_list
        wanted = query * self.num_images + image
        place = np.searchsorted(keys, wanted)
        listed = np.flatnonzero(place < len(keys))
        listed = listed[keys[place[listed]] == wanted[listed]]
        position = np.full(len(wanted), -1)
        position[listed] = positions[place[listed]]
        return position

    def gallery_of(self, query: int) -> np.ndarray:
        """The images that count for one query, each once, in the order of its gallery; int64."""
        if self.gallery_indptr is None or self.gallery_images is None or self.full_set:
            images = np.arange(self.num_images)
        else:
            begin, end = self.gallery_indptr[query], self.gallery_indptr[query + 1]
            images = self.gallery_images[begin:end]
        return images[self._counts(np.full(len(images), query), images)]

    def targets(self) -> tuple[np.ndarray, np.ndarray]:
        """All pairs of a query and a target that lies in its gallery.

        Returns:
            query (P,) ascending, and index into the target boxes (P,).
        """
        query = np.repeat(np.arange(self.num_queries), np.diff(self.target_indptr))
        keep = self._counts(query, self.target_image[self.target_indices])
        return query[keep], self.target_indices[keep]

    def _counts(self, query: np.ndarray, image: np.ndarray) -> np.ndarray:
        """Whether ``image[i]`` is in the gallery of ``query[i]``, (P,) bool."""
        counts = np.zeros(len(query), bool)
        if self.gallery_images is not None:
            counts |= self.list_position(query, image) >= 0
        if self.gallery_images is None or self.full_set:
            own = self.own_image[query] == image
            if self.query_group is not None and self.image_group is not None:
                own |= self.query_group[query] == self.image_group[image]
            counts |= ~own
        return counts

    @cached_property
    def _sorted_list(self) -> tuple[np.ndarray, np.ndarray]:
        """One number for each listed pair of query and image, sorted, and where each stands."""
        assert self.gallery_indptr is not None
        assert self.gallery_images is not None
        query = np.repeat(np.arange(self.num_queries), np.diff(self.gallery_indptr))
        keys = query * self.num_images + self.gallery_images
        order = np.argsort(keys)
        return keys[order], order


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

    Raises:
        ValueError: if the arrays do not fit each other; the message names the array.
    """
    check_indices('gt_image', gt_image, high=num_images)
    check_numbers('gt_bboxes', gt_bboxes, shape=(len(gt_image), 4))
    check_integers('gt_pids', gt_pids, size=len(gt_image))
    check_indices('query_image', query_image, high=num_images)
    check_integers('query_pids', query_pids, size=len(query_image))
    if image_group is not None:
        check_integers('image_group', image_group, size=num_images)
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


def _check_csr(name: str, indptr: np.ndarray, indices: np.ndarray, rows: int) -> None:
    check_integers(f'{name}_indptr', indptr, size=rows + 1)
    if indptr[0] != 0 or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
        raise ValueError(
            f'{name}_indptr must have {rows + 1} ascending entries from 0 to {len(indices)}'
        )
