"""What the queries see: similarities with the detections of their galleries, in gallery order.

Shape shorthand: N detections, Q queries, B queries of a block, W places in a row, I images, L
listed images, D size of an embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .protocol import Protocol
from .ranges import expand_ranges, indptr_from_counts


@dataclass(frozen=True)
class Rows:
    """What B successive queries see, a row each.

    The first places of a row are the same for all queries: place p is detection p. Then come the
    detections of the images that the protocol lists for the query.

    Args:
        first: number of the first query.
        similarities: (B, W) float32, -inf where a detection does not count for the query, and
            behind the end of its row.
        num_common: how many places are the same for all.
        listed: of each row the detections behind the common ones, int64; None if the protocol has
            no lists.
    """

    first: int
    similarities: np.ndarray
    num_common: int
    listed: Sequence[np.ndarray] | None

    def detections(self, row: int, place: np.ndarray) -> np.ndarray:
        """The detections at some places of a row that are not behind its end, (P,) int64."""
        if self.listed is None:
            return place
        det = place.copy()
        in_list = place >= self.num_common
        det[in_list] = self.listed[row][place[in_list] - self.num_common]
        return det


class Gallery:
    """The galleries of all queries of a protocol, as sequences of detections.

    Args:
        protocol: which images count.
        det_image: the image of each detection, ascending, (N,) int64.

    Attributes:
        protocol: as given.
        det_image: as given.
        starts: the detections of image i are ``starts[i]:starts[i + 1]``, (I + 1,) int64.
        width: places in a row, W.
    """

    def __init__(self, protocol: Protocol, det_image: np.ndarray) -> None:
        self.protocol = protocol
        self.det_image = det_image
        self.starts = np.searchsorted(det_image, np.arange(protocol.num_images + 1))
        self._num_common = 0
        if protocol.gallery_images is None or protocol.full_set:
            self._num_common = len(det_image)
        self._prepare_lists()
        self._prepare_groups()
        self.width = self._num_common + int(np.diff(self._row_starts).max(initial=0))

    def rows(
        self,
        queries: range,
        *,
        query_embeddings: np.ndarray,
        det_embeddings: np.ndarray,
        out: np.ndarray,
    ) -> Rows:
        """Compare some queries with their galleries.

        Args:
            queries: successive ones.
            query_embeddings: of all queries, (Q, D) float32.
            det_embeddings: (N, D) float32.
            out: memory for the similarities, (at least B, W) float32.
        """
        similarities = out[: len(queries)]
        similarities[:, self._num_common :] = -np.inf
        common = similarities[:, : self._num_common]
        if self._num_common:
            np.matmul(query_embeddings[queries.start : queries.stop], det_embeddings.T, out=common)
        listed = None
        if self.protocol.gallery_images is not None:
            listed = self._listed(queries)
            for row, det in enumerate(listed):
                part = similarities[row, self._num_common : self._num_common + len(det)]
                if self._num_common:
                    part[:] = common[row, det]
                else:
                    np.dot(det_embeddings[det], query_embeddings[queries[row]], out=part)
        if self._num_common:
            self._leave_out(queries, common)  # the lists have taken theirs before
        return Rows(queries.start, similarities, self._num_common, listed)

    def first_places(self, query: np.ndarray, image: np.ndarray) -> np.ndarray:
        """Where the detections of ``image[i]`` begin in the row of ``query[i]``.

        Args:
            query: (P,) int64.
            image: in the gallery of the query, (P,) int64.

        Returns:
            (P,) int64; the second place if the image is in the row twice.
        """
        places = self.starts[image]
        if self.protocol.gallery_images is not None:
            position = self.protocol.list_position(query, image)
            listed = position >= 0
            in_list = self._listed_starts[position[listed]] - self._row_starts[query[listed]]
            places[listed] = self._num_common + in_list
        return places

    def _prepare_lists(self) -> None:
        """Count the detections of all listed images, one list after the other.

        Those of entry e of the lists are ``_listed_starts[e]:_listed_starts[e + 1]``, those of
        query q ``_row_starts[q]:_row_starts[q + 1]``.
        """
        indptr, images = self.protocol.gallery_indptr, self.protocol.gallery_images
        if indptr is None or images is None:
            self._row_starts = np.zeros(self.protocol.num_queries + 1, np.int64)
            return
        self._listed_starts = indptr_from_counts(np.diff(self.starts)[images])
        self._row_starts = self._listed_starts[indptr]

    def _listed(self, queries: range) -> list[np.ndarray]:
        """The detections of the images listed for each query, (B,) vectors of int64."""
        indptr, images = self.protocol.gallery_indptr, self.protocol.gallery_images
        assert indptr is not None
        assert images is not None
        begin, end = indptr[queries.start], indptr[queries.stop]
        counts = np.diff(self._listed_starts[begin : end + 1])
        det = expand_ranges(self.starts[images[begin:end]], counts)
        starts = self._row_starts[queries.start : queries.stop + 1]
        return np.split(det, starts[1:-1] - starts[0])

    def _prepare_groups(self) -> None:
        """Order the detections by group: query q's are ``_by_group[_begin[q]:_end[q]]``."""
        group, query_group = self.protocol.image_group, self.protocol.query_group
        if group is None or query_group is None:
            self._by_group = np.zeros(0, np.int64)
            self._begin = self._end = np.zeros(self.protocol.num_queries, np.int64)
            return
        det_group = group[self.det_image]
        self._by_group = np.argsort(det_group, kind='stable')
        det_group = det_group[self._by_group]
        self._begin = np.searchsorted(det_group, query_group, side='left')
        self._end = np.searchsorted(det_group, query_group, side='right')

    def _leave_out(self, queries: range, similarities: np.ndarray) -> None:
        """Set the similarities with each query's own image and group to -inf."""
        for row, query in zip(similarities, queries, strict=True):
            own = self.protocol.own_image[query]
            if own >= 0:
                row[self.starts[own] : self.starts[own + 1]] = -np.inf
            row[self._by_group[self._begin[query] : self._end[query]]] = -np.inf
