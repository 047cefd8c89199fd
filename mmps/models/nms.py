from typing import Any

import torchvision
from mmcv.ops import batched_nms as mmcv_batched_nms
from torch import Tensor


def batched_nms(boxes: Tensor, scores: Tensor, *, groups: Tensor, cfg: Any) -> Tensor:
    """Non-maximum suppression within groups.

    Args:
        boxes: (N, 4) x1, y1, x2, y2.
        scores: (N,).
        groups: (N,) int64; boxes of different groups do not suppress each other.
        cfg: MMCV's config of its NMS, e.g. ``dict(type='nms', iou_threshold=0.5)``, or
            ``dict(type='torchvision_nms', iou_threshold=0.5)`` for torchvision's. They differ in
            the order of equal scores, and so in what survives: float32 probabilities above
            1 - 6e-8 are all equal, and the authors of SeqNet and OIMNet++ use torchvision's.

    Returns:
        Indices (M,) of what stays, by descending score.
    """
    if len(boxes) == 0:  # which MMCV's cannot do
        return groups.new_zeros(0)
    if cfg['type'] == 'torchvision_nms':
        return torchvision.ops.batched_nms(boxes, scores, groups, cfg['iou_threshold'])
    return mmcv_batched_nms(boxes, scores, groups, cfg)[1]
