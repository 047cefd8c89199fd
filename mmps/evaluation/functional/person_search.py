"""Every figure of a set of predictions: what the metric and the command line tool both call."""

import logging
from collections.abc import Sequence

from mmengine.logging import print_log

from mmps.evaluation.predictions import Predictions

from .detection import evaluate_detection
from .protocol import Protocol, identity_protocol
from .ranking import SearchResult, evaluate_search


def search_protocol(predictions: Predictions, *, cross_camera: bool = False) -> Protocol:
    """PRW's protocol over the images and queries of ``predictions``."""
    return identity_protocol(
        predictions.gt_image,
        predictions.gt_bboxes,
        gt_pids=predictions.gt_pids,
        query_image=predictions.query_image,
        query_pids=predictions.query_pids,
        num_images=predictions.num_images,
        image_group=predictions.camera_ids if cross_camera else None,
    )


def search_predictions(
    predictions: Predictions,
    *,
    cross_camera: bool = False,
    score_thr: float = 0.5,
    iou_thr: float = 0.5,
    cws: bool = True,
    topk: Sequence[int] = (1, 5, 10),
    num_ranked: int = 10,
) -> SearchResult:
    """Search for every query of ``predictions`` among its detections.

    Arguments and result as in :func:`~mmps.evaluation.functional.ranking.evaluate_search`.
    """
    return evaluate_search(
        predictions.query_embeddings,
        predictions.det_embeddings,
        det_image=predictions.det_image,
        det_bboxes=predictions.det_bboxes,
        det_scores=predictions.det_scores,
        protocol=search_protocol(predictions, cross_camera=cross_camera),
        score_thr=score_thr,
        iou_thr=iou_thr,
        cws=cws,
        topk=topk,
        num_ranked=num_ranked,
    )


def evaluate_predictions(
    predictions: Predictions,
    *,
    score_thr: float = 0.5,
    det_score_thr: float = 0.01,
    iou_thr: float = 0.5,
    cws: bool = True,
    topk: Sequence[int] = (1, 5, 10),
    cross_camera: bool = False,
) -> dict[str, float]:
    """Detection and search figures.

    Args:
        predictions: of a whole test set.
        score_thr: detections of lower score are not searched.
        det_score_thr: detections of lower score do not enter the detection figures.
        iou_thr: IoU from which a person counts as found.
        cws: multiply similarities by the detection score.
        topk: the k of top-k.
        cross_camera: also search among images of the other cameras only.

    Returns:
        Fractions: ``det/recall``, ``det/AP``, ``search/mAP``, ``search/top1``, ... and, with
        ``cross_camera``, ``search_cross_camera/mAP``, ...; no search figures, but a warning in
        the log, if there are no queries.
    """
    detection = evaluate_detection(
        predictions.det_scores,
        predictions.det_bboxes,
        det_image=predictions.det_image,
        gt_image=predictions.gt_image,
        gt_bboxes=predictions.gt_bboxes,
        num_images=predictions.num_images,
        score_thr=det_score_thr,
        iou_thr=iou_thr,
    )
    metrics = {f'det/{name}': value for name, value in detection.items()}
    if predictions.num_queries == 0:
        _warn('No queries in this data set: only detection is evaluated')
        return metrics
    for name in ('search', 'search_cross_camera') if cross_camera else ('search',):
        result = search_predictions(
            predictions,
            cross_camera=name == 'search_cross_camera',
            score_thr=score_thr,
            iou_thr=iou_thr,
            cws=cws,
            topk=topk,
        )
        lost = int((result.num_targets == 0).sum())
        if lost:
            _warn(
                f'{name}: the persons of {lost} of {predictions.num_queries} queries are nowhere '
                'in their gallery; these queries count as not found'
            )
        metrics.update({f'{name}/{key}': value for key, value in result.summary().items()})
    return metrics


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)
