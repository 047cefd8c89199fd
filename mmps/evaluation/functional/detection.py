"""Detection figures of person search: recall and average precision at one IoU."""

import numpy as np

from .average_precision import average_precision
from .checks import check_indices, check_integers, check_numbers
from .matching import paired_iou
from .ranges import expand_ranges


def evaluate_detection(
    det_scores: np.ndarray,
    det_bboxes: np.ndarray,
    *,
    det_image: np.ndarray,
    gt_image: np.ndarray,
    gt_bboxes: np.ndarray,
    gt_pids: np.ndarray | None = None,
    num_images: int,
    score_thr: float = 0.01,
    iou_thr: float = 0.5,
    labelled_only: bool = False,
) -> dict[str, float]:
    """Recall and AP as in the evaluation code of NAE and SeqNet.

    A person is found by the detection that overlaps it most, if the person is also the one that
    this detection overlaps most and the IoU reaches ``iou_thr``. AP is multiplied by the recall.
    This differs from COCO's greedy matching by score.

    Args:
        det_scores: (N,).
        det_bboxes: (N, 4) x1, y1, x2, y2.
        det_image: (N,) index of the image.
        gt_image: (G,).
        gt_bboxes: (G, 4).
        gt_pids: (G,), negative for a person without identity; only for ``labelled_only``.
        num_images: number of images I.
        score_thr: detections of lower score are left out.
        iou_thr: IoU from which a person counts as found.
        labelled_only: count only persons with an identity; images without any are left out, and
            detections of other persons are false alarms in the rest, as in the reference.

    Returns:
        ``recall`` and ``AP``, fractions; 0 where nobody is to be found.

    Raises:
        ValueError: if an array holds NaN or does not fit the others; the message names it.
    """
    check_indices('det_image', det_image, high=num_images)
    check_numbers('det_scores', det_scores, shape=(len(det_image),))
    check_numbers('det_bboxes', det_bboxes, shape=(len(det_image), 4))
    check_indices('gt_image', gt_image, high=num_images)
    check_numbers('gt_bboxes', gt_bboxes, shape=(len(gt_image), 4))
    if labelled_only:
        if gt_pids is None:
            raise ValueError('labelled_only=True needs gt_pids')
        check_integers('gt_pids', gt_pids, size=len(gt_image))
        gt_image, gt_bboxes = gt_image[gt_pids >= 0], gt_bboxes[gt_pids >= 0]
    keep = det_scores >= score_thr
    if labelled_only:
        keep &= np.bincount(gt_image, minlength=num_images)[det_image] > 0
    kept = np.flatnonzero(keep)
    kept = kept[np.argsort(det_image[kept], kind='stable')]
    found = _mutual_best(det_image[kept], det_bboxes[kept], gt_image, gt_bboxes, iou_thr=iou_thr)
    if len(gt_image) == 0:
        return {'recall': 0.0, 'AP': 0.0}
    recall = float(found.sum() / len(gt_image))
    return {'recall': recall, 'AP': average_precision(det_scores[kept], found) * recall}


def _mutual_best(
    det_image: np.ndarray,
    det_bboxes: np.ndarray,
    gt_image: np.ndarray,
    gt_bboxes: np.ndarray,
    *,
    iou_thr: float,
) -> np.ndarray:
    """Whether each detection (ordered by image) and some person are each other's best, (N,)."""
    first = np.searchsorted(det_image, gt_image, side='left')
    counts = np.searchsorted(det_image, gt_image, side='right') - first
    det = expand_ranges(first, counts)
    gt = np.repeat(np.arange(len(gt_image)), counts)
    # The reference keeps IoUs as float32, which decides what is equal.
    iou = paired_iou(det_bboxes[det], gt_bboxes[gt]).astype(np.float32)
    mutual = _first_best(det, iou) & _first_best(gt, iou) & (iou >= iou_thr)
    found = np.zeros(len(det_image), bool)
    found[det[mutual]] = True
    return found


def _first_best(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Whether entry i is the first of the largest ``values`` of its ``group``, (P,) bool."""
    order = np.lexsort((-values, group))  # stable: of equal values the first stays first
    best = np.zeros(len(group), bool)
    best[order[np.diff(group[order], prepend=-1) != 0]] = True
    return best
