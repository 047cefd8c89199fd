"""What RoI heads of person search do with boxes: match, decode, select.

Boxes are (N, 4) x1, y1, x2, y2 in pixels of the network's input image.
"""

from typing import Any

import torch
from mmdet.models.task_modules import SamplingResult
from mmdet.structures.bbox import bbox_overlaps, scale_boxes
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
    for priors, gts, ignored in zip(proposals, gt_instances, gt_ignored, strict=True):
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
    for sample, gts in zip(samples, gt_instances, strict=True):
        if 'pids' not in gts:
            raise ValueError(
                'gt_instances has no pids: load annotations with mmps.LoadPersonSearchAnnotations '
                'and pack them with mmps.PackPersonSearchInputs in the training pipeline.'
            )
        background = gts.pids.new_full((len(sample.neg_inds),), BACKGROUND)
        pids += [gts.pids[sample.pos_assigned_gt_inds], background]
    return torch.cat(pids)


def sampled_ious(samples: list[SamplingResult]) -> Tensor:
    """IoU of every sampled proposal with the person it is given to, (B,) over all images.

    0 for background, which is given to nobody.
    """
    ious = []
    for sample in samples:
        overlaps = bbox_overlaps(sample.pos_priors, sample.pos_gt_bboxes, is_aligned=True)
        ious += [overlaps, overlaps.new_zeros(len(sample.neg_inds))]
    return torch.cat(ious)


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
        for b, d, shape in zip(boxes, deltas.float().split(sizes), image_shapes, strict=True)
    ]


def select_detections(boxes: Tensor, scores: Tensor, cfg: Any) -> Tensor:
    """Which boxes of one image become detections: score, size, NMS, number.

    Args:
        boxes: (N, 4).
        scores: (N,).
        cfg: ``score_thr`` (a score must be above it), ``nms`` (as
            :func:`mmps.models.nms.batched_nms` takes it), ``max_per_img``, and ``min_size``, which
            MMDet's own settings do not have (pixels; a smaller width or height is dropped).

    Returns:
        Indices (M,) of the detections by descending score.
    """
    sizes = boxes[:, 2:] - boxes[:, :2]
    candidates = (scores > cfg.score_thr) & (sizes >= cfg.get('min_size', 0)).all(dim=1)
    indices = candidates.nonzero().squeeze(1)
    one_class = torch.zeros_like(indices)
    keep = batched_nms(boxes[indices], scores[indices], groups=one_class, cfg=cfg.nms)
    return indices[keep[: cfg.max_per_img]]


def make_detections(
    boxes: Tensor,
    scores: Tensor,
    embeddings: Tensor,
    *,
    cfg: Any,
    meta: dict[str, Any],
    rescale: bool,
) -> InstanceData:
    """Detections of one image from all its boxes.

    Args:
        boxes: (N, 4).
        scores: (N,).
        embeddings: (N, D).
        cfg: as :func:`select_detections` takes it.
        meta: of the image; ``scale_factor`` (x, y) is read to rescale.
        rescale: boxes in pixels of the original image instead of the network's input.

    Returns:
        bboxes (M, 4), scores (M,), labels (M,) and embeddings (M, D) by descending score.
    """
    keep = select_detections(boxes, scores, cfg)
    bboxes = boxes[keep]
    if rescale:
        bboxes = scale_boxes(bboxes, [1 / factor for factor in meta['scale_factor']])
    return InstanceData(
        bboxes=bboxes,
        scores=scores[keep],
        labels=torch.zeros_like(keep),
        embeddings=embeddings[keep],
    )
