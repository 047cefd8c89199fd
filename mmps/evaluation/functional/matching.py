"""Which detections count as finding which person.

A *pair* is a target and a detection that overlaps it enough. Shape shorthand: T targets, N
detections, I images, P pairs.
"""

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
    thresholds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every target, the detections of its image that overlap it enough to find it.

    Args:
        target_image: (T,) int64.
        target_bboxes: (T, 4).
        det_starts: detections of image i are ``det_starts[i]:det_starts[i + 1]``, (I + 1,).
        det_bboxes: (N, 4), ordered by image.
        thresholds: IoU from which a detection finds each target, (T,).

    Returns:
        Row pointers (T + 1,), detections (P,), ascending within a target, and their IoUs (P,)
        float64: a CSR structure of pairs.
    """
    counts = np.zeros(len(target_image), np.int64)
    found, ious = [np.zeros(0, np.int64)], [np.zeros(0)]
    for begin in range(0, len(target_image), _CHUNK):
        image = target_image[begin : begin + _CHUNK]
        num = det_starts[image + 1] - det_starts[image]
        det = expand_ranges(det_starts[image], num)
        target = np.repeat(np.arange(len(image)), num)
        iou = paired_iou(det_bboxes[det], target_bboxes[begin + target])
        hit = iou >= thresholds[begin + target]
        counts[begin : begin + len(image)] = np.bincount(target[hit], minlength=len(image))
        found.append(det[hit])
        ious.append(iou[hit])
    return indptr_from_counts(counts), np.concatenate(found), np.concatenate(ious)


def most_similar(target: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """The most similar detection of every target, by itself: how published figures match.

    Args:
        target: the target of each pair, ascending, (P,).
        similarity: of the detection of each pair with the query, (P,).

    Returns:
        One pair for each target that has any, ascending; of equally similar ones the last.
    """
    order = np.lexsort((similarity, target))  # stable
    return order[np.diff(target[order], append=-1) != 0]


def one_to_one(
    target: np.ndarray, similarity: np.ndarray, *, det: np.ndarray, iou: np.ndarray
) -> np.ndarray:
    """COCO's greedy matching: by falling similarity, a detection takes the best target left.

    Args:
        target: the target of each pair, (P,).
        similarity: of the detection of each pair with the query, (P,).
        det: the detection of each pair, (P,); of equally similar ones the lower number comes first.
        iou: of each pair, (P,); of equal ones the higher target is better, as in pycocotools.

    Returns:
        Pairs, ascending, in which every target and every detection occurs at most once.
    """
    order = np.lexsort((-target, -iou, det, -similarity))
    taken_dets: set[int] = set()
    taken_targets: set[int] = set()
    pairs = []
    for pair, d, t in zip(*(x.tolist() for x in (order, det[order], target[order])), strict=True):
        if d not in taken_dets and t not in taken_targets:
            taken_dets.add(d)
            taken_targets.add(t)
            pairs.append(pair)
    return np.sort(np.array(pairs, np.int64))
