"""Pairs of a query and a detection, labelled by the annotation: the same person, or another.

A detection is the person looked for if it overlaps one of that person's annotated boxes as much
as the evaluation asks. Unlike in the evaluation, every such detection is, not only the most similar
of its scene: a second box around the right person is no false alarm. All others are different
persons, also people without identity and boxes with nobody in them: a search meets them, too.

Similarities are plain cosines, as an index of a gallery gives them, whatever the search of the
predictions weights them with.

Shape shorthand: Q queries, F folds, N detections, R first results in all.
"""

from dataclasses import dataclass, replace

import numpy as np

from mmps.evaluation.analysis import SearchInputs, SimilarityCurve, similarity_histogram
from mmps.evaluation.functional.matching import overlapping_detections, target_iou_threshold
from mmps.evaluation.functional.ranking import at_least_largest


@dataclass(frozen=True)
class LabelledPairs:
    """Counted pairs in folds that share no person, and the first results of every query.

    Args:
        curves: pairs by similarity, of each fold; right: of the same person. ``num_targets`` are
            all pairs of the same person, those included that the detector missed.
        first_fold: fold of each first result, (R,) int64.
        first_similarity: (R,) float32.
        first_same: whether it is the person looked for, (R,) bool.
    """

    curves: tuple[SimilarityCurve, ...]
    first_fold: np.ndarray
    first_similarity: np.ndarray
    first_same: np.ndarray

    def curve(self, *, without: int | None = None) -> SimilarityCurve:
        """All pairs, or those of all folds but one."""
        kept = [curve for fold, curve in enumerate(self.curves) if fold != without]
        return SimilarityCurve(
            thresholds=kept[0].thresholds,
            num_right=np.sum([curve.num_right for curve in kept], axis=0),
            num_wrong=np.sum([curve.num_wrong for curve in kept], axis=0),
            num_targets=sum(curve.num_targets for curve in kept),
            num_queries=sum(curve.num_queries for curve in kept),
        )


def label_pairs(
    inputs: SearchInputs, query_pids: np.ndarray, *, num_folds: int = 5, num_first: int = 10
) -> LabelledPairs:
    """Compare every query with its gallery.

    Args:
        inputs: the search, of :func:`~mmps.evaluation.analysis.search_inputs`.
        query_pids: identity of each query, (Q,) int64: those of one person are of one fold.
        num_folds: F, at least 2.
        num_first: how many results of a query a user looks at.

    Raises:
        ValueError: if scenes count twice (``Protocol.full_set``).
    """
    inputs.refuse_full_set()
    fold = np.unique(query_pids, return_inverse=True)[1] % num_folds
    same_dets, num_missed = _detections_of_targets(inputs)
    empty = similarity_histogram(np.zeros(0, np.float32))
    histograms = np.stack([[empty] * 2] * num_folds)
    firsts: list[tuple[int, np.ndarray, np.ndarray]] = []

    def count(query: int, det: np.ndarray, similarities: np.ndarray) -> None:
        counted = similarities > -np.inf
        same = np.isin(det, same_dets[query])
        for kind, chosen in enumerate((same & counted, ~same & counted)):
            histograms[fold[query], kind] += similarity_histogram(similarities[chosen])
        first = at_least_largest(similarities, num_first)
        firsts.append((fold[query], similarities[first], same[first]))

    replace(inputs, cws=False).evaluate(rerank=count)
    curves = [
        SimilarityCurve.from_histograms(
            right,
            wrong,
            num_targets=int(right.sum() + num_missed[fold == number].sum()),
            num_queries=int((fold == number).sum()),
        )
        for number, (right, wrong) in enumerate(histograms)
    ]
    return LabelledPairs(
        tuple(curves),
        np.concatenate([np.full(len(same), number) for number, _, same in firsts]),
        np.concatenate([similarity for _, similarity, _ in firsts]),
        np.concatenate([same for _, _, same in firsts]),
    )


def _detections_of_targets(inputs: SearchInputs) -> tuple[list[np.ndarray], np.ndarray]:
    """Detections that show the person of each query, and how many of its boxes have none, (Q,)."""
    protocol = inputs.protocol
    kept = np.flatnonzero(inputs.det_scores >= inputs.score_thr)
    kept = kept[np.argsort(inputs.det_image[kept], kind='stable')]
    indptr, det, _ = overlapping_detections(
        protocol.target_image,
        protocol.target_bboxes,
        det_starts=np.searchsorted(inputs.det_image[kept], np.arange(protocol.num_images + 1)),
        det_bboxes=inputs.det_bboxes[kept],
        thresholds=target_iou_threshold(protocol.target_bboxes, iou_thr=inputs.iou_thr),
    )
    of_target = np.split(kept[det], indptr[1:-1])
    query, target = protocol.targets()
    missed = np.array([len(of_target[box]) == 0 for box in target], bool)
    dets = [
        np.concatenate([np.zeros(0, np.int64), *(of_target[box] for box in boxes)])
        for boxes in np.split(target, np.searchsorted(query, np.arange(1, protocol.num_queries)))
    ]
    return dets, np.bincount(query[missed], minlength=protocol.num_queries)
