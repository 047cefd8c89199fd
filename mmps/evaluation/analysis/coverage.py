"""How much of a person's box is covered by other persons' boxes: a stand-in for occlusion.

No person search data set annotates who hides whom. What can be computed for all of them is the
share of a box that lies under other annotated boxes. It takes the person in front for as covered as
the person behind, and knows nothing of cars, posts and people who were not annotated.
"""

import numpy as np

from mmps.evaluation.functional.ranges import expand_ranges, indptr_from_counts


def covered_share(
    bboxes: np.ndarray,
    image: np.ndarray,
    *,
    pids: np.ndarray,
    gt_image: np.ndarray,
    gt_bboxes: np.ndarray,
    gt_pids: np.ndarray,
) -> np.ndarray:
    """Share of each box that is covered by annotated boxes of other persons of its image.

    Args:
        bboxes: (Q, 4) x1, y1, x2, y2.
        image: the image of each box, (Q,) int64.
        pids: the identity of each box, (Q,); annotations of the same identity in its image are
            the person itself.
        gt_image: the image of each annotated person, (G,) int64.
        gt_bboxes: (G, 4).
        gt_pids: (G,), negative for a person without identity.

    Returns:
        (Q,) float64 in [0, 1]; 0 for an empty box.
    """
    order = np.argsort(gt_image, kind='stable')
    first = np.searchsorted(gt_image[order], image, side='left')
    counts = np.searchsorted(gt_image[order], image, side='right') - first
    box = np.repeat(np.arange(len(bboxes)), counts)
    other = order[expand_ranges(first, counts)]
    low = np.maximum(gt_bboxes[other, :2], bboxes[box, :2]).astype(np.float64)
    high = np.minimum(gt_bboxes[other, 2:], bboxes[box, 2:]).astype(np.float64)
    covers = (low < high).all(axis=1) & (gt_pids[other] != pids[box])
    parts = np.concatenate([low, high], axis=1)[covers]
    starts = indptr_from_counts(np.bincount(box[covers], minlength=len(bboxes)))
    area = (bboxes[:, 2:].astype(np.float64) - bboxes[:, :2]).clip(0).prod(axis=1)
    share = np.zeros(len(bboxes))
    for index in np.flatnonzero(np.diff(starts)):
        share[index] = _union_area(parts[starts[index] : starts[index + 1]]) / area[index]
    return share


def _union_area(boxes: np.ndarray) -> float:
    """Area under boxes (K, 4), K >= 1, exactly: over the cells of the grid of all their edges."""
    xs, ys = np.unique(boxes[:, [0, 2]]), np.unique(boxes[:, [1, 3]])
    in_column = (boxes[:, :1] <= xs[:-1]) & (xs[1:] <= boxes[:, 2:3])
    in_row = (boxes[:, 1:2] <= ys[:-1]) & (ys[1:] <= boxes[:, 3:])
    covered = (in_column[:, :, None] & in_row[:, None, :]).any(axis=0)
    return float(np.diff(xs) @ covered @ np.diff(ys))
