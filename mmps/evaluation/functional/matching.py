"""Which detections count as finding which person."""

import numpy as np

from .ranges import expand_ranges, indptr_from_counts

_CHUNK = 65536  # persons whose pairs with detections are in memory at once


def paired_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of box ``a[i]`` with box ``b[i]``.

    Args:
        a: (P, 4) x1, y1, x2, y2.
        b: (P, 4).

    Returns:
        (P,) float64; 0 where both boxes are empty.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    size = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    intersection = np.maximum(size, 0).prod(axis=1)
    areas = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1)
    union = areas - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def target_iou_threshold(bboxes: np.ndarray, *, iou_thr: float = 0.5) -> np.ndarray:
    """IoU from which a detection finds a target: ``min(iou_thr, wh / ((w + 10)(h + 10)))``.

    Small boxes are forgiven an error of about 10 pixels (CUHK-SYSU's protocol; all published
    figures use it).

    Args:
        bboxes: (T, 4) x1, y1, x2, y2, pixels of the original image.
        iou_thr: the threshold of large boxes.

    Returns:
        (T,) float64.
    """
    size = bboxes[:, 2:].astype(np.float64) - bboxes[:, :2]
    return np.minimum(iou_thr, size.prod(axis=1) / (size + 10).prod(axis=1))


def overlapping_detections(
    target_image: np.ndarray,
    target_bboxes: np.ndarray,
    *,
    det_starts: np.ndarray,
    det_bboxes: np.ndarray,
    iou_thr: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """For every target, the detections of its image that overlap it enough to find it.

    Args:
        target_image: (T,) int64.
        target_bboxes: (T, 4).
        det_starts: detections of image i are ``det_starts[i]:det_starts[i + 1]``, (I + 1,).
        det_bboxes: (N, 4), ordered by image.
        iou_thr: see :func:`target_iou_threshold`.

    Returns:
        Row pointers (T + 1,) and detections, ascending within a target: a CSR structure.
    """
    thresholds = target_iou_threshold(target_bboxes, iou_thr=iou_thr)
    counts = np.zeros(len(target_image), np.int64)
    found = []
    for begin in range(0, len(target_image), _CHUNK):
        image = target_image[begin : begin + _CHUNK]
        num = det_starts[image + 1] - det_starts[image]
        det = expand_ranges(det_starts[image], num)
        target = np.repeat(np.arange(begin, begin + len(image)), num)
        hit = paired_iou(det_bboxes[det], target_bboxes[target]) >= thresholds[target]
        counts += np.bincount(target[hit], minlength=len(counts))
        found.append(det[hit])
    return indptr_from_counts(counts), np.concatenate([np.zeros(0, np.int64), *found])
