"""Every figure of a set of predictions: what the metric and the command line tools all call.

The one place where protocol, gallery, ranking and re-ranking come together.
"""

import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmps.evaluation.predictions import Predictions
from mmps.registry import PROTOCOLS

from .cbgm import cbgm_reranker
from .detection import evaluate_detection
from .protocol import Protocol
from .ranking import SearchResult, evaluate_search
from .search import Search


def build_protocol(settings: Mapping[str, Any], predictions: Predictions) -> Protocol:
    """Let a registered constructor make the protocol of some predictions.

    Args:
        settings: ``type``, a name in ``mmps.registry.PROTOCOLS``, and the constructor's arguments.
        predictions: what it is made for.

    Raises:
        ValueError: if there is no such constructor or it does not have such arguments.
    """
    arguments = dict(settings)
    name = arguments.pop('type')
    try:
        constructor = PROTOCOLS.get(name)
    except RuntimeError:  # a name without a scope, or with that of something else
        constructor = None
    if constructor is None:
        known = ', '.join(f'mmps.{known}' for known in sorted(PROTOCOLS.module_dict))
        raise ValueError(f"There is no protocol '{name}'; registered are {known}")
    try:
        inspect.signature(constructor).bind(predictions, **arguments)
    except TypeError as error:
        raise ValueError(f"protocol '{name}': {error}") from error
    return constructor(predictions, **arguments)


def search_arguments(predictions: Predictions, search: Search) -> dict[str, Any]:
    """The arguments of ``evaluate_search`` for a search among predictions.

    Returns:
        All arguments of :func:`~mmps.evaluation.functional.ranking.evaluate_search` but ``topk``
        and ``num_ranked``. Its detections are the annotated boxes, in their order, where
        ``search.gallery`` is 'ground_truth'.

    Raises:
        ValueError: if the annotated boxes are to be searched and were not embedded.
    """
    gallery = _gallery(predictions, search)
    reranker = None
    if search.cbgm is not None:
        reranker = cbgm_reranker(
            **gallery,
            query_image=predictions.query_image,
            query_bboxes=predictions.query_bboxes,
            k1=search.cbgm['k1'],
            k2=search.cbgm['k2'],
            cws=search.cws,
        )
    return {
        'query_embeddings': predictions.query_embeddings,
        **gallery,
        'protocol': build_protocol(search.protocol, predictions),
        'score_thr': search.score_thr,
        'iou_thr': search.iou_thr,
        'cws': search.cws,
        'matching': search.matching,
        'rerank': reranker,
    }


def search_predictions(
    predictions: Predictions,
    search: Search | None = None,
    *,
    topk: Sequence[int] = (1, 5, 10),
    num_ranked: int = 10,
) -> SearchResult:
    """Search for every query of ``predictions``.

    Args:
        predictions: of a whole test set.
        search: how; None for the defaults.
        topk: the k of top-k.
        num_ranked: how many ranks to keep for display; at least ``max(topk)`` are.

    Returns:
        As of :func:`~mmps.evaluation.functional.ranking.evaluate_search`; ``ranked_det`` are
        indices of the annotated boxes where ``search.gallery`` is 'ground_truth'.

    Raises:
        ValueError: see :func:`search_arguments` and :func:`build_protocol`.
    """
    arguments = search_arguments(predictions, search or Search())
    return evaluate_search(**arguments, topk=topk, num_ranked=num_ranked)


def evaluate_predictions(
    predictions: Predictions,
    *,
    searches: Mapping[str, Search] | None = None,
    det_score_thr: float = 0.01,
    topk: Sequence[int] = (1, 5, 10),
) -> dict[str, float]:
    """Detection and search figures.

    Args:
        predictions: of a whole test set.
        searches: the searches to report, by name; by default one named ``search``.
        det_score_thr: detections of lower score do not enter the detection figures.
        topk: the k of top-k.

    Returns:
        Fractions: ``det/recall``, ``det/AP`` and, for every search, ``<name>/mAP``,
        ``<name>/top1``, ...; no search figures, but a warning in the log, if there are no queries.

    Raises:
        ValueError: if a search is not possible; the message names the search.
    """
    if searches is None:
        searches = {'search': Search()}
    detection = evaluate_detection(
        predictions.det_scores,
        predictions.det_bboxes,
        det_image=predictions.det_image,
        gt_image=predictions.gt_image,
        gt_bboxes=predictions.gt_bboxes,
        num_images=predictions.num_images,
        score_thr=det_score_thr,
    )
    metrics = {f'det/{name}': value for name, value in detection.items()}
    if predictions.num_queries == 0:
        _warn('No queries in this data set: only detection is evaluated')
        return metrics
    for name, search in searches.items():
        try:
            result = search_predictions(predictions, search, topk=topk)
        except ValueError as error:
            raise ValueError(f'{name}: {error}') from error
        lost = int((result.num_targets == 0).sum())
        if lost:
            _warn(
                f'{name}: the persons of {lost} of {len(result.ap)} queries are nowhere in their '
                'gallery; these queries count as not found'
            )
        metrics.update({f'{name}/{key}': value for key, value in result.summary().items()})
    return metrics


def _gallery(predictions: Predictions, search: Search) -> dict[str, np.ndarray]:
    """The boxes to search, as the arguments of the ranking and of CBGM name them."""
    if search.gallery == 'detections':
        return {
            'det_embeddings': predictions.det_embeddings,
            'det_scores': predictions.det_scores,
            'det_image': predictions.det_image,
            'det_bboxes': predictions.det_bboxes,
        }
    if not predictions.has_gt_embeddings:
        raise ValueError(
            "gallery='ground_truth' needs embeddings of the annotated boxes, which these "
            'predictions lack: test the model again with model.test_cfg.embed_ground_truth=True'
        )
    num, dim = len(predictions.gt_image), predictions.query_embeddings.shape[1]
    return {
        # Without annotated boxes there may be embeddings of no size.
        'det_embeddings': predictions.gt_embeddings if num else np.zeros((0, dim), np.float32),
        'det_scores': np.ones(num, np.float32),
        'det_image': predictions.gt_image,
        'det_bboxes': predictions.gt_bboxes,
    }


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)
