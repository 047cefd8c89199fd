"""Search: rank the detections of every query's gallery and score the rankings, for any protocol.

Two ways to say which detections are right:

=================  =====================================  =====================================
..                 ``matching='published'``               ``matching='strict'``
=================  =====================================  =====================================
whose it is        the evaluation code behind the         the textbook's
                   published figures (psdb, then NAE
                   and SeqNet)
what to find       every gallery image with the target;   every box of the target
                   annotated twice in an image, its
                   first box counts; or as many as
                   ``num_to_find`` of a protocol says
IoU asked for      ``min(iou_thr, wh / ((w + 10)          ``iou_thr``
                   (h + 10)))``: small boxes are
                   forgiven about 10 pixels
what is right      in each image the most similar of the  COCO's greedy one-to-one matching in
                   detections that overlap the target;    each image: by falling similarity, a
                   of equally similar ones the last       detection takes the box left that it
                                                          overlaps most; of equally similar ones
                                                          the first comes first
``full_set`` of a  the listed images count twice: with    each image counts once
protocol           all others, where nothing is right,
                   and again at the end, where targets
                   are looked for; as SeqNet's code does
                   with CUHK-SYSU's full set, NAE's not
=================  =====================================  =====================================

The rest is the same. AP is the sum of the precisions at the right detections, divided by how much
there was to find (the reference calls it AP times recall); it is not interpolated as COCO's.
Equally similar detections pass a threshold of AP together, as in scikit-learn's
``average_precision_score``. Where equal similarities compete for the first ranks, the reference's
own call decides: ``np.argsort(...)[::-1]`` over the gallery in its order, the detections of every
image with the target sorted first. That matters on CUHK-SYSU's full set, where each right detection
has a twin that is wrong. NumPy's default sort is not stable, and how it orders twins differs with
the processor's vector instructions (the published top-1 of a full set hangs on it); it is the same
as the reference's on the same machine.

Queries with nothing to find or without detections, where the reference fails, count as not found.

Shape shorthand: N detections, Q queries, I images, D size of an embedding, K = len(topk),
R ranks that are kept.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Literal, get_args

import numpy as np

from .average_precision import precision_at
from .checks import check_indices, check_numbers
from .gallery import Gallery, Rows
from .protocol import Protocol
from .targets import Targets

_BLOCK_VALUES = 2**24  # similarities in memory at once: 64 MiB
_MIN_BLOCK_QUERIES = 32  # fewer would make the matrix product wait for memory
_THREADS = 2  # most of a row's time is spent in NumPy's sorts, which let other threads run

Matching = Literal['published', 'strict']

Reranker = Callable[[int, np.ndarray, np.ndarray], None]
"""Changes the similarities of a query before anything is matched and ranked.

Called as ``rerank(query, det, similarities)``: the number of the query and those of the detections,
``det`` (M,) int64, count as they were given to :func:`evaluate_search`; ``det`` is in the order of
the gallery, the detections of an image side by side, and the same array for every query where no
galleries are listed. ``similarities`` (M,) float32, to change in place, is -inf where a detection
does not count, and may be set so. Where listed images count twice, only the second time is handed
over, as in SeqNet's code.
"""


@dataclass(frozen=True)
class SearchResult:
    """What a search found, query by query.

    Args:
        topk: the k of top-k, (K,).
        ap: average precision scaled by recall, (Q,) float64.
        hits: whether a correct detection is among the first k, (Q, K) bool.
        num_targets: what there is to find: gallery images that hold the target, or its boxes
            where matching is strict, (Q,) int64.
        num_found: how many of them some detection finds, (Q,) int64.
        found_det: the detections that find them, query by query, (``num_found.sum()``,) int64;
            indices into the detections as they were given.
        found_similarity: of them, (``num_found.sum()``,) float32.
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
    found_det: np.ndarray
    found_similarity: np.ndarray
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
    matching: Matching = 'published',
    rerank: Reranker | None = None,
) -> SearchResult:
    """Rank the detections of every query's gallery and score the rankings.

    Memory is linear in the detections: similarities are computed for a block of queries at a time.

    Args:
        query_embeddings: (Q, D) floating; where the protocol searches with some of the queries
            only (:attr:`Protocol.queries`), all are given.
        det_embeddings: (N, D) floating, not weighted by the score.
        det_image: (N,) int64 index of the image, in any order.
        det_bboxes: (N, 4) x1, y1, x2, y2, pixels of the original image.
        det_scores: (N,) floating.
        protocol: galleries and targets of the Q queries.
        score_thr: detections of lower score are left out.
        iou_thr: IoU from which a large target counts as found.
        cws: multiply similarities by the detection score (confidence-weighted similarity).
        topk: the k of top-k.
        num_ranked: how many ranks to keep for display; at least ``max(topk)`` are.
        matching: which detections are right; see the head of this module.
        rerank: changes the similarities of a query before matching; see :data:`Reranker`.

    Returns:
        AP, top-k and the first ranks of every query.

    Raises:
        ValueError: if an argument is wrong, an array holds NaN, or the arrays do not fit each
            other or the protocol; the message names it.
    """
    topk = tuple(topk)
    if min(topk, default=0) < 1:
        raise ValueError(f'topk must be positive numbers, got {topk}')
    if matching not in get_args(Matching):
        raise ValueError(f"matching='{matching}' is not one of {', '.join(get_args(Matching))}")
    _check_arrays(query_embeddings, det_embeddings, det_image, det_bboxes, det_scores, protocol)

    strict = matching == 'strict'
    if strict and protocol.full_set:
        protocol = replace(protocol, full_set=False, gallery_indptr=None, gallery_images=None)
    kept = np.flatnonzero(det_scores >= score_thr)
    kept = kept[np.argsort(det_image[kept], kind='stable')]
    embeddings = det_embeddings[kept].astype(np.float32, copy=False)
    if cws:
        embeddings *= det_scores[kept, None]
    query_embeddings = query_embeddings.astype(np.float32, copy=False)
    if protocol.queries is not None:
        query_embeddings = query_embeddings[protocol.queries]
    gallery = Gallery(protocol, det_image[kept])
    targets = Targets(gallery, det_bboxes[kept], strict=strict, iou_thr=iou_thr)

    num_queries, num_ranks = protocol.num_queries, max(*topk, num_ranked)
    ap = np.zeros(num_queries)
    num_found = np.zeros(num_queries, np.int64)
    found_det, found_similarity = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    ranked = np.full((num_queries, num_ranks), -1, np.int64)
    similarity = np.full((num_queries, num_ranks), -np.inf, np.float32)
    correct = np.zeros((num_queries, num_ranks), bool)

    block = max(_MIN_BLOCK_QUERIES, _BLOCK_VALUES // max(gallery.width, 1))
    memory = np.empty((min(block, num_queries), gallery.width), np.float32)
    with ThreadPoolExecutor(_THREADS) as threads:
        for begin in range(0, num_queries, block):
            queries = range(begin, min(begin + block, num_queries))
            rows = gallery.rows(
                queries, query_embeddings=query_embeddings, det_embeddings=embeddings, out=memory
            )
            if rerank is not None:
                _rerank(rerank, rows, kept, protocol.queries)
            found_row, place = targets.found(rows)
            found = np.split(place, np.searchsorted(found_row, np.arange(1, len(queries))))
            runs = map(targets.runs, queries)
            scores = threads.map(_score_row, rows.similarities, found, runs, repeat(num_ranks))
            for row, (query, (precisions, first)) in enumerate(zip(queries, scores, strict=True)):
                values, right = rows.similarities[row], found[row]
                num_found[query] = len(right)
                found_det.append(kept[rows.detections(row, right)])
                found_similarity.append(values[right])
                ap[query] = precisions / max(targets.counts[query], 1)
                ranks = slice(0, len(first))
                ranked[query, ranks] = kept[rows.detections(row, first)]
                similarity[query, ranks] = values[first]
                correct[query, ranks] = (first[:, None] == right).any(axis=1)
    return SearchResult(
        topk=topk,
        ap=ap,
        hits=np.stack([correct[:, :k].any(axis=1) for k in topk], axis=1),
        num_targets=targets.counts,
        num_found=num_found,
        found_det=np.concatenate(found_det),
        found_similarity=np.concatenate(found_similarity),
        ranked_det=ranked,
        ranked_similarity=similarity,
        ranked_correct=correct,
    )


def _rerank(rerank: Reranker, rows: Rows, kept: np.ndarray, queries: np.ndarray | None) -> None:
    for row, similarities in enumerate(rows.similarities):
        query = rows.first + row
        given = query if queries is None else int(queries[query])
        if rows.listed is None:
            rerank(given, kept, similarities)
        else:
            det = kept[rows.listed[row]]
            rerank(given, det, similarities[rows.num_common :][: len(det)])


def _score_row(
    row: np.ndarray, found: np.ndarray, target_runs: np.ndarray, num: int
) -> tuple[float, np.ndarray]:
    """Sum of the precisions at the correct places of a row, and its first ``num`` places."""
    precisions = float(precision_at(row[found], scores=row).sum()) if len(found) else 0.0
    return precisions, _first_places(row, target_runs, num)


def _first_places(row: np.ndarray, target_runs: np.ndarray, num: int) -> np.ndarray:
    """The first ``num`` places of a row, best first, ties as the head of this module says.

    Args:
        row: similarities, -inf where nothing counts, (W,) float32.
        target_runs: where the detections of each image with the target begin and end, (T, 2).
        num: how many; fewer, if the row has fewer detections that count.
    """
    place = at_least_largest(row, num)
    order = np.argsort(-row[place], kind='stable')[: num + 1]
    if (np.diff(row[place[order]]) < 0).all():
        return place[order[:num]]
    place = np.flatnonzero(row > -np.inf)
    for run in np.unique(target_runs, axis=0):  # an image may hold several boxes of the target
        inside = slice(*np.searchsorted(place, run))
        place[inside] = place[inside][np.argsort(row[place[inside]], kind='stable')[::-1]]
    return place[np.argsort(row[place])[::-1][:num]]


def at_least_largest(row: np.ndarray, num: int) -> np.ndarray:
    """Indices of the ``num`` largest finite values and of all equal to the last, ascending.

    Args:
        row: (N,) float32; -inf counts as not there.
        num: at least 1.

    """
    bound = np.partition(row, -num)[-num] if len(row) > num else -np.inf
    return np.flatnonzero((row >= bound) & (row > -np.inf))


def _check_arrays(
    query_embeddings: np.ndarray,
    det_embeddings: np.ndarray,
    det_image: np.ndarray,
    det_bboxes: np.ndarray,
    det_scores: np.ndarray,
    protocol: Protocol,
) -> None:
    check_indices('det_image', det_image, high=protocol.num_images)
    num, dim = len(det_image), np.shape(det_embeddings)[-1:]
    check_numbers('det_embeddings', det_embeddings, shape=(num, *dim))
    num_queries = protocol.num_queries
    if protocol.queries is not None:
        num_queries = len(query_embeddings)
        check_indices('queries', protocol.queries, high=num_queries)
    check_numbers('query_embeddings', query_embeddings, shape=(num_queries, *dim))
    check_numbers('det_bboxes', det_bboxes, shape=(num, 4))
    check_numbers('det_scores', det_scores, shape=(num,))
