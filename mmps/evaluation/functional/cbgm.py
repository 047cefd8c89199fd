"""Context bipartite graph matching (CBGM; SeqNet, AAAI 2021, sec. 3.4) as a re-ranking step.

People walk together: who stands beside the query helps to tell whether a detection is the query.
In the images with the most similar detections, the query and its companions are matched with the
detections, one to one, so that the sum of similarities is largest; the detection that falls to the
query takes over the largest similarity of the matching, be it a companion's.

As in the authors' code this comes before the correct detection of an image is determined.

Shape shorthand: N detections, Q queries, D size of an embedding, M detections in a gallery.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from .matching import paired_iou
from .ranges import expand_ranges, indptr_from_counts
from .ranking import Reranker, at_least_largest

_SAME_PERSON_IOU = 0.5  # the NMS between the query's box and detections in the authors' code


def cbgm_reranker(
    det_embeddings: np.ndarray,
    det_scores: np.ndarray,
    *,
    det_image: np.ndarray,
    det_bboxes: np.ndarray,
    query_image: np.ndarray,
    query_bboxes: np.ndarray,
    k1: int = 30,
    k2: int = 4,
    cws: bool = True,
) -> Reranker:
    """CBGM for ``rerank`` of :func:`~mmps.evaluation.functional.ranking.evaluate_search`.

    Detections are the same arrays as there, in the same order.

    Args:
        det_embeddings: (N, D) float32, not weighted by the score.
        det_scores: (N,).
        det_image: (N,) int64 index of the image.
        det_bboxes: (N, 4) x1, y1, x2, y2.
        query_image: the image that each query was drawn from, (Q,) int64.
        query_bboxes: (Q, 4).
        k1: matching takes place in the images of the k1 most similar detections (of equally
            similar ones at the limit, those that come last in the gallery). The authors take 30 on
            PRW, 10 on CUHK-SYSU.
        k2: the query and its k2 - 1 companions of highest score, however low, are matched; 4 on
            PRW, 3 on CUHK-SYSU.
        cws: weight the similarities of companions by the gallery's detection scores, as those of
            the query; the companions' own scores do not count.

    Returns:
        A function of (query, det, similarities) that changes ``similarities`` (M,) in place.

    Raises:
        ValueError: if k1 or k2 is less than 1.
    """
    if k1 < 1 or k2 < 1:
        raise ValueError(f'CBGM needs k1 and k2 of at least 1, got k1={k1}, k2={k2}')
    indptr, companions = companion_detections(
        query_image,
        query_bboxes,
        det_image=det_image,
        det_bboxes=det_bboxes,
        det_scores=det_scores,
        num=k2 - 1,
    )

    def rerank(query: int, det: np.ndarray, similarities: np.ndarray) -> None:
        context = companions[indptr[query] : indptr[query + 1]]
        if len(context) == 0:
            return  # the query alone falls to its most similar detection, whose value stays
        nearest = at_least_largest(similarities, k1)
        nearest = nearest[np.argsort(similarities[nearest], kind='stable')[-k1:]]
        starts = np.flatnonzero(np.diff(det_image[det], prepend=-1))
        images = np.unique(np.searchsorted(starts, nearest, side='right') - 1)
        counts = np.diff(starts, append=len(det))[images]
        places = expand_ranges(starts[images], counts)
        gallery = det_embeddings[det[places]]
        if cws:
            gallery = gallery * det_scores[det[places], None]
        graph = np.concatenate([similarities[None, places], det_embeddings[context] @ gallery.T])
        end = 0
        for count in counts:
            begin, end = end, end + count
            row, column = linear_sum_assignment(graph[:, begin:end], maximize=True)
            # Rows ascend. With fewer detections than persons the query may be left without one.
            if row[0] == 0:
                similarities[places[begin + column[0]]] = graph[row, begin + column].max()

    return rerank


def companion_detections(
    query_image: np.ndarray,
    query_bboxes: np.ndarray,
    *,
    det_image: np.ndarray,
    det_bboxes: np.ndarray,
    det_scores: np.ndarray,
    num: int,
) -> tuple[np.ndarray, np.ndarray]:
    """For every query the other persons on its image: detections that hardly overlap its box.

    Args:
        query_image: (Q,) int64.
        query_bboxes: (Q, 4) x1, y1, x2, y2.
        det_image: (N,) int64.
        det_bboxes: (N, 4).
        det_scores: (N,).
        num: how many at most for each query, those of highest score (of equal ones the first).

    Returns:
        Row pointers (Q + 1,) and detections, by descending score within a query: a CSR structure.
    """
    order = np.lexsort((-det_scores, det_image))
    first = np.searchsorted(det_image[order], query_image, side='left')
    counts = np.searchsorted(det_image[order], query_image, side='right') - first
    det = order[expand_ranges(first, counts)]
    query = np.repeat(np.arange(len(query_image)), counts)
    others = paired_iou(det_bboxes[det], query_bboxes[query]) < _SAME_PERSON_IOU
    det, query = det[others], query[others]
    rank = np.arange(len(query)) - np.searchsorted(query, query, side='left')
    det, query = det[rank < num], query[rank < num]
    return indptr_from_counts(np.bincount(query, minlength=len(query_image))), det
