"""Search: rank the detections of a query's gallery, for any protocol.

The matching of detections with targets is that of the evaluation code behind the published
figures (psdb, then NAE and SeqNet): in each gallery image that holds the target, only the most
similar of the detections that overlap it counts as correct; every other detection is wrong.

Shape shorthand: N detections, Q queries, I images, D size of an embedding, K = len(topk),
R ranks that are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .average_precision import count_at_least
from .matching import overlapping_detections
from .protocol import Protocol
from .ranges import expand_ranges

_BLOCK_VALUES = 2**24  # similarities in memory at once: 64 MiB
_MIN_BLOCK_QUERIES = 32  # fewer would make the matrix product wait for memory


@dataclass(frozen=True)
class SearchResult:
    """What a search found, query by query.

    Args:
        topk: the k of top-k, (K,).
        ap: average precision scaled by recall, (Q,) float64.
        hits: whether a correct detection is among the first k, (Q, K) bool.
        num_targets: gallery images that hold the target, (Q,) int64.
        num_found: of them, those with a detection that overlaps it, (Q,) int64.
        ranked_det: the most similar detections, best first, (Q, R) int64; indices into the
            detections as they were given, -1 where the gallery has fewer than R.
        ranked_similarity: (Q, R) float32, -inf where ``ranked_det`` is -1.
        ranked_correct: (Q, R) bool.
    """

    topk: tuple[int, ...]
    ap: np.ndarray
    hits: np.ndarray
    num_targets: np.ndarray
    num_found: np.ndarray
    ranked_det: np.ndarray
    ranked_similarity: np.ndarray
    ranked_correct: np.ndarray

    def summary(self) -> dict[str, float]:
        """``mAP`` and ``top1``, ...: means over all queries, fractions.

        A query whose target is nowhere in its gallery counts as not found. Without queries all
        are 0.
        """
        num = max(len(self.ap), 1)
        figures = {'mAP': float(self.ap.sum() / num)}
        for k, hits in zip(self.topk, self.hits.T, strict=True):
            figures[f'top{k}'] = float(hits.sum() / num)
        return figures


def evaluate_search(
    query_embeddings: np.ndarray,
    det_embeddings: np.ndarray,
    *,
    det_image: np.ndarray,
    det_bboxes: np.ndarray,
    det_scores: np.ndarray,
    protocol: Protocol,
    score_thr: float = 0.5,
    iou_thr: float = 0.5,
    cws: bool = True,
    topk: Sequence[int] = (1, 5, 10),
    num_ranked: int = 10,
) -> SearchResult:
    """Rank the detections of every query's gallery and score the rankings.

    Equal similarities: for AP they pass a threshold together (scikit-learn's
    ``average_precision_score``); in top-k the order is that of the reference's
    ``argsort(...)[::-1]``, taken as stable: what comes later in the gallery is ranked first,
    except within an image that holds the target, where it is the other way round, because the
    reference has reversed that image's detections once already.

    Args:
        query_embeddings: (Q, D) float32.
        det_embeddings: (N, D) float32, not weighted by the score.
        det_image: (N,) int64 index of the image, in any order.
        det_bboxes: (N, 4) x1, y1, x2, y2, pixels of the original image.
        det_scores: (N,).
        protocol: galleries and targets of the Q queries.
        score_thr: detections of lower score are left out.
        iou_thr: IoU from which a large target counts as found; see
            :func:`~mmps.evaluation.functional.matching.target_iou_threshold`.
        cws: multiply similarities by the detection score (confidence-weighted similarity).
        topk: the k of top-k.
        num_ranked: how many ranks to keep for display; at least ``max(topk)`` are.

    Returns:
        AP, top-k and the first ranks of every query.

    Raises:
        ValueError: if the arrays do not fit each other or the protocol.
    """
    topk = tuple(topk)
    if min(topk, default=0) < 1:
        raise ValueError(f'topk must be positive numbers, got {topk}')
    _check_arrays(query_embeddings, det_embeddings, det_image, det_bboxes, det_scores, protocol)

    kept = np.flatnonzero(det_scores >= score_thr)
    kept = kept[np.argsort(det_image[kept], kind='stable')]
    embeddings = det_embeddings[kept]
    if cws:
        embeddings = embeddings * det_scores[kept, None]
    gallery = _Gallery(det_image[kept], protocol, det_bboxes=det_bboxes[kept], iou_thr=iou_thr)

    num_queries, num_ranks = protocol.num_queries, max(*topk, num_ranked)
    ap = np.zeros(num_queries)
    num_found = np.zeros(num_queries, np.int64)
    ranked = np.full((num_queries, num_ranks), -1, np.int64)
    similarity = np.full((num_queries, num_ranks), -np.inf, np.float32)
    correct = np.zeros((num_queries, num_ranks), bool)

    # With listed galleries only the listed detections' similarities are computed, row by row.
    listed = protocol.gallery_indptr is not None
    block = max(_MIN_BLOCK_QUERIES, _BLOCK_VALUES // max(len(kept), 1))
    for query in range(num_queries):
        if listed:
            members = gallery.listed_detections(query)
            row = embeddings[members] @ query_embeddings[query]
        else:
            members = None
            if query % block == 0:
                similarities = query_embeddings[query : query + block] @ embeddings.T
            row = similarities[query % block]
            row[gallery.excluded_detections(query)] = -np.inf
        found = gallery.matches(query, row, members)
        values = row[found]
        num_found[query] = len(found)
        if len(found):
            precision = count_at_least(values, values) / count_at_least(row, values)
            ap[query] = precision.sum() / gallery.num_targets[query]
        first = gallery.ranking(query, row, members, num_ranks)
        ranks = slice(0, len(first))
        ranked[query, ranks] = kept[first if members is None else members[first]]
        similarity[query, ranks] = row[first]
        correct[query, ranks] = np.isin(first, found)
    hits = np.stack([correct[:, :k].any(axis=1) for k in topk], axis=1)
    return SearchResult(
        topk=topk,
        ap=ap,
        hits=hits,
        num_targets=gallery.num_targets,
        num_found=num_found,
        ranked_det=ranked,
        ranked_similarity=similarity,
        ranked_correct=correct,
    )


class _Gallery:
    """The kept detections, ordered by image, seen from each query of a protocol.

    A *row* holds the similarities of one query: with all detections, or with its ``members``
    (ascending detection indices) where the protocol lists galleries.
    """

    def __init__(
        self, det_image: np.ndarray, protocol: Protocol, *, det_bboxes: np.ndarray, iou_thr: float
    ) -> None:
        self.protocol = protocol
        self.det_image = det_image
        self.starts = np.searchsorted(det_image, np.arange(protocol.num_images + 1))
        query, target = protocol.targets()
        first = _first_in_image(query, protocol.target_image[target], target)
        query, self.targets = query[first], target[first]
        self.target_starts = np.searchsorted(query, np.arange(protocol.num_queries + 1))
        self.num_targets = np.diff(self.target_starts)
        self.overlap_starts, self.overlaps = overlapping_detections(
            protocol.target_image,
            protocol.target_bboxes,
            det_starts=self.starts,
            det_bboxes=det_bboxes,
            iou_thr=iou_thr,
        )
        self.groups = None if protocol.image_group is None else protocol.image_group[det_image]

    def listed_detections(self, query: int) -> np.ndarray:
        """The detections in the listed gallery of a query, ascending."""
        images = self.protocol.listed_gallery(query)
        assert images is not None
        return expand_ranges(self.starts[images], self.starts[images + 1] - self.starts[images])

    def excluded_detections(self, query: int) -> slice | np.ndarray:
        """What to leave out of a row of all detections."""
        own = self.protocol.own_image[query]
        begin, end = (self.starts[own], self.starts[own + 1]) if own >= 0 else (0, 0)
        if self.groups is None or self.protocol.query_group is None:
            return slice(begin, end)
        excluded = self.groups == self.protocol.query_group[query]
        excluded[begin:end] = True
        return excluded

    def _targets_of(self, query: int) -> np.ndarray:
        return self.targets[self.target_starts[query] : self.target_starts[query + 1]]

    def matches(self, query: int, row: np.ndarray, members: np.ndarray | None) -> np.ndarray:
        """Places in the row of the correct detections.

        Of those that overlap the target in an image it is the most similar one, of equally
        similar ones the last.
        """
        targets = self._targets_of(query)
        counts = self.overlap_starts[targets + 1] - self.overlap_starts[targets]
        place = self.overlaps[expand_ranges(self.overlap_starts[targets], counts)]
        if members is not None:
            place = np.searchsorted(members, place)
        order = np.lexsort((place, row[place], np.repeat(np.arange(len(targets)), counts)))
        return place[order[np.cumsum(counts[counts > 0]) - 1]]

    def ranking(
        self, query: int, row: np.ndarray, members: np.ndarray | None, num: int
    ) -> np.ndarray:
        """Places in the row of its first ``num`` detections, best first, ties as documented."""
        place = _at_least_largest(row, num)
        det = place if members is None else members[place]
        image = self.det_image[det]
        reversed_twice = np.isin(image, self.protocol.target_image[self._targets_of(query)])
        within = np.where(reversed_twice, -det, det)
        return place[np.lexsort((within, image, row[place]))[::-1][:num]]


def _first_in_image(query: np.ndarray, image: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Indices of the first target of each query in each image, ordered by query and image.

    An image in which the target is annotated twice counts once, with the first of its boxes.
    """
    order = np.lexsort((target, image, query))
    new = np.diff(query[order], prepend=-1) != 0
    new |= np.diff(image[order], prepend=-1) != 0
    return order[new]


def _at_least_largest(row: np.ndarray, num: int) -> np.ndarray:
    """Indices of all finite values that may be among the ``num`` largest, with their ties.

    The num-th largest of the maxima of 64-fold interleaved chunks is a lower bound for the
    num-th largest value; comparing with it is faster than selecting from the whole row.
    """
    bound = np.float32(-np.inf)
    columns = len(row) // 64
    if columns >= num:
        maxima = row[: columns * 64].reshape(64, columns).max(axis=0)
        bound = np.partition(maxima, -num)[-num]
    return np.flatnonzero((row >= bound) & (row > -np.inf))


def _check_arrays(
    query_embeddings: np.ndarray,
    det_embeddings: np.ndarray,
    det_image: np.ndarray,
    det_bboxes: np.ndarray,
    det_scores: np.ndarray,
    protocol: Protocol,
) -> None:
    num = len(det_image)
    dim = det_embeddings.shape[-1]
    for name, array, shape in (
        ('query_embeddings', query_embeddings, (protocol.num_queries, dim)),
        ('det_embeddings', det_embeddings, (num, dim)),
        ('det_bboxes', det_bboxes, (num, 4)),
        ('det_scores', det_scores, (num,)),
    ):
        if array.shape != shape:
            raise ValueError(f'{name} has shape {array.shape}, expected {shape}')
    if num and (det_image.min() < 0 or det_image.max() >= protocol.num_images):
        raise ValueError(f'det_image must be within the {protocol.num_images} images')
