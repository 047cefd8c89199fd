"""What RoI heads of person search do with boxes: match, decode, select.

Boxes are (N, 4) x1, y1, x2, y2 in pixels of the network's input image.
"""

from typing import Any

import torch
from mmdet.models.task_modules import SamplingResult
from mmengine.structures import InstanceData
from torch import Tensor

from mmps.models.nms import batched_nms

BACKGROUND = -2
"""The pid of a proposal that holds no person; -1 is a person without identity."""


def sample_proposals(
    assigner: Any,
    sampler: Any,
    *,
    proposals: list[Tensor],
    gt_instances: list[InstanceData],
    gt_ignored: list[InstanceData | None],
) -> list[SamplingResult]:
    """Match the proposals of each image with its persons, and sample a mini-batch of them.

    Args:
        assigner: MMDet's assigner.
        sampler: MMDet's sampler.
        proposals: (N, 4) an image.
        gt_instances: ``bboxes`` (G, 4) and ``labels`` (G,) an image.
        gt_ignored: boxes to be left out an image, or None.

    Returns:
        One sampling result an image, positives before negatives.
    """
    results = []
    for priors, gts, ignored in zip(proposals, gt_instances, gt_ignored):
        candidates = InstanceData(priors=priors)
        assigned = assigner.assign(candidates, gts, ignored)
        results.append(sampler.sample(assigned, candidates, gts))
    return results


def sampled_pids(samples: list[SamplingResult], gt_instances: list[InstanceData]) -> Tensor:
    """The identity of every sampled proposal, (B,) int64 over all images.

    0..L-1 for a labelled person, -1 for a person without identity, -2 for background.

    Raises:
        ValueError: if the ground truth has no ``pids``.
    """
    pids = []
    for sample, gts in zip(samples, gt_instances):
        if 'pids' not in gts:
            raise ValueError(
                'gt_instances has no pids: load annotations with mmps.LoadPersonSearchAnnotations '
                'and pack them with mmps.PackPersonSearchInputs in the training pipeline.'
            )
        background = gts.pids.new_full((len(sample.neg_inds),), BACKGROUND)
        pids += [gts.pids[sample.pos_assigned_gt_inds], background]
    return torch.cat(pids)


def decode_boxes(
    coder: Any, *, boxes: list[Tensor], deltas: Tensor, image_shapes: list[tuple[int, int]]
) -> list[Tensor]:
    """Apply regressed deltas to the boxes of each image and clip to the image.

    Args:
        coder: MMDet's box coder.
        boxes: (N, 4) an image.
        deltas: (sum of N, 4).
        image_shapes: height and width of each image, pixels of the network's input.
    """
    sizes = [len(b) for b in boxes]
    return [
        coder.decode(b, d, max_shape=shape[:2])
        for b, d, shape in zip(boxes, deltas.float().split(sizes), image_shapes)
    ]


def select_detections(boxes: Tensor, scores: Tensor, cfg: Any) -> Tensor:
    """Which boxes of one image become detections: score, size, NMS, number.

    Args:
        boxes: (N, 4).
        scores: (N,).
        cfg: ``score_thr`` (a score must be above it), ``min_size`` (pixels; a smaller width or
            height is dropped), ``nms`` (as
            :func:`mmps.models.nms.batched_nms` takes it), ``max_per_img``.

    Returns:
        Indices (M,) of the detections by descending score.
    """
    sizes = boxes[:, 2:] - boxes[:, :2]
    candidates = (scores > cfg.score_thr) & (sizes >= cfg.min_size).all(dim=1)
    indices = candidates.nonzero().squeeze(1)
    one_class = torch.zeros_like(indices)
    keep = batched_nms(boxes[indices], scores[indices], groups=one_class, cfg=cfg.nms)
    return indices[keep[: cfg.max_per_img]]
