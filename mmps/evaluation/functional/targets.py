"""The targets of the queries, and the detections that find them.

Shape shorthand: Q queries, P pairs of a query and a target in its gallery.
"""

import numpy as np

from .gallery import Gallery, Rows
from .matching import most_similar, one_to_one, overlapping_detections, target_iou_threshold
from .ranges import expand_ranges


class Targets:
    """What each query should find in its row of a gallery.

    Args:
        gallery: the galleries of the queries.
        det_bboxes: of the gallery's detections, (N, 4) x1, y1, x2, y2.
        strict: every box of the target counts, and detections and boxes are matched one to one at
            ``iou_thr``; otherwise the published matching, see
            :mod:`mmps.evaluation.functional.ranking`.
        iou_thr: IoU from which a large target counts as found.

    Attributes:
        counts: how much each query should find, (Q,) int64.
    """

    def __init__(
        self, gallery: Gallery, det_bboxes: np.ndarray, *, strict: bool, iou_thr: float
    ) -> None:
        protocol = gallery.protocol
        query, target = protocol.targets()
        if not strict:
            first = _first_in_image(query, protocol.target_image[target])
            query, target = query[first], target[first]
        self._strict = strict
        self._query, self._target = query, target
        self._starts = np.searchsorted(query, np.arange(protocol.num_queries + 1))
        self.counts = np.diff(self._starts)
        if not strict and protocol.num_to_find is not None:
            wrong = np.flatnonzero(protocol.num_to_find < self.counts)
            if len(wrong):
                raise ValueError(
                    f'num_to_find[{wrong[0]}] is {protocol.num_to_find[wrong[0]]}, but '
                    f'{self.counts[wrong[0]]} gallery images hold the target'
                )
            self.counts = protocol.num_to_find

        bboxes = protocol.target_bboxes
        self._indptr, self._dets, self._ious = overlapping_detections(
            protocol.target_image,
            bboxes,
            det_starts=gallery.starts,
            det_bboxes=det_bboxes,
            thresholds=(
                np.full(len(bboxes), iou_thr)
                if strict
                else target_iou_threshold(bboxes, iou_thr=iou_thr)
            ),
        )
        image = protocol.target_image[target]
        place = gallery.first_places(query, image)
        self._shift = place - gallery.starts[image]
        length = gallery.starts[image + 1] - gallery.starts[image]
        self._runs = np.stack([place, place + length], axis=1)

    def runs(self, query: int) -> np.ndarray:
        """Where in the row of a query the images with its target begin and end, (T, 2) int64."""
        return self._runs[self._starts[query] : self._starts[query + 1]]

    def found(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """The correct detections: row (P,), ascending, and place in it (P,), both int64."""
        begin, end = self._starts[[rows.first, rows.first + len(rows.similarities)]]
        box = self._target[begin:end]
        counts = self._indptr[box + 1] - self._indptr[box]
        pair = expand_ranges(self._indptr[box], counts)
        target = np.repeat(np.arange(begin, end), counts)
        row = self._query[target] - rows.first
        place = self._dets[pair] + self._shift[target]
        similarity = rows.similarities[row, place]
        seen = np.flatnonzero(similarity > -np.inf)  # a re-ranking may leave detections out
        row, place, target, similarity = row[seen], place[seen], target[seen], similarity[seen]
        if self._strict:
            det = row * rows.similarities.shape[1] + place  # another one for each query
            chosen = one_to_one(target, similarity, det=det, iou=self._ious[pair[seen]])
        else:
            chosen = most_similar(target, similarity)
        return row[chosen], place[chosen]


def _first_in_image(query: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Indices of the first target of each query in each image, ascending by query.

    An image in which the target is annotated twice counts once, with the first of its boxes.
    """
    order = np.lexsort((image, query))  # stable
    new = np.diff(query[order], prepend=-1) != 0
    new |= np.diff(image[order], prepend=-1) != 0
    return order[new]
