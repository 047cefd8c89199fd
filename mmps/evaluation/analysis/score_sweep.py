"""What the detector finds against what the search finds, as the score threshold moves.

Shape shorthand: T thresholds, G annotated persons.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmps.evaluation.functional.detection import evaluate_detection

from .inputs import SearchInputs


@dataclass(frozen=True)
class ScoreSweep:
    """Figures where only detections from a score on are kept.

    Args:
        thresholds: (T,), ascending.
        num_detections: (T,) int64.
        recall: of the detections, over all annotated persons, (T,), fractions.
        ap: of the detections, scaled by recall as published, (T,).
        mean_ap: of the search, (T,).
        top1: of the search, (T,).
    """

    thresholds: np.ndarray
    num_detections: np.ndarray
    recall: np.ndarray
    ap: np.ndarray
    mean_ap: np.ndarray
    top1: np.ndarray


def score_sweep(
    inputs: SearchInputs,
    *,
    gt_image: np.ndarray,
    gt_bboxes: np.ndarray,
    thresholds: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
) -> ScoreSweep:
    """Evaluate detection and search at several thresholds of the detection score.

    Args:
        inputs: the search; its own ``score_thr`` plays no part.
        gt_image: the image of each annotated person, (G,) int64.
        gt_bboxes: (G, 4).
        thresholds: lowest scores of a detection that is kept.
    """
    ordered = np.array(sorted(set(thresholds)), np.float64)
    num = np.array([(inputs.det_scores >= threshold).sum() for threshold in ordered], np.int64)
    rows: dict[int, tuple[float, ...]] = {}  # by detections kept: no need to search twice
    for threshold, count in zip(ordered, num, strict=True):
        if count in rows:
            continue
        detection = evaluate_detection(
            inputs.det_scores,
            inputs.det_bboxes,
            det_image=inputs.det_image,
            gt_image=gt_image,
            gt_bboxes=gt_bboxes,
            num_images=inputs.protocol.num_images,
            score_thr=threshold,
            iou_thr=inputs.iou_thr,
        )
        search = replace(inputs, score_thr=float(threshold)).evaluate().summary()
        rows[count] = (detection['recall'], detection['AP'], search['mAP'], search['top1'])
    recall, ap, mean_ap, top1 = np.array([rows[count] for count in num]).reshape(-1, 4).T
    return ScoreSweep(
        thresholds=ordered,
        num_detections=num,
        recall=recall,
        ap=ap,
        mean_ap=mean_ap,
        top1=top1,
    )
