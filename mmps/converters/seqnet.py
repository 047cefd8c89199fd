"""SeqNet's published checkpoints (github.com/serend1p1ty/SeqNet)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .rules import Converted, Rule, from_mmps, to_mmps

RULES = (
    Rule('backbone.', 'backbone.'),
    # Newer torchvision nests the RPN's convolution; published checkpoints have the plain names,
    # which are therefore the last ones and the ones written.
    Rule('rpn.head.conv.0.0.', 'rpn_head.rpn_conv.'),
    Rule('rpn.head.conv.', 'rpn_head.rpn_conv.'),
    Rule('rpn.head.cls_logits.', 'rpn_head.rpn_cls.'),
    Rule('rpn.head.bbox_pred.', 'rpn_head.rpn_reg.'),
    Rule('roi_heads.box_head.', 'roi_head.box_stage.stage.'),
    Rule('roi_heads.reid_head.', 'roi_head.reid_stage.stage.'),
    Rule('roi_heads.faster_rcnn_predictor.cls_score.', 'roi_head.bbox_head.fc_cls.', 'swap'),
    Rule('roi_heads.faster_rcnn_predictor.bbox_pred.', 'roi_head.bbox_head.fc_reg.', 'person'),
    Rule('roi_heads.box_predictor.bbox_pred.', 'roi_head.reid_bbox_head.fc_reg.', 'person'),
    Rule('roi_heads.embedding_head.projectors.feat_res4.', 'roi_head.embedding_head.projectors.0.'),
    Rule('roi_heads.embedding_head.projectors.feat_res5.', 'roi_head.embedding_head.projectors.1.'),
    Rule('roi_heads.embedding_head.rescaler.', 'roi_head.embedding_head.rescaler.'),
    Rule('roi_heads.reid_loss.lut', 'roi_head.loss_reid.table.vectors'),
    Rule('roi_heads.reid_loss.cq', 'roi_head.loss_reid.queue.vectors'),
)
_QUEUE_HEAD = 'roi_head.loss_reid.queue.head'


def seqnet_to_mmps(state_dict: Mapping[str, Tensor]) -> Converted:
    """SeqNet's ``state_dict`` to that of ``configs/seqnet_r50_*.py``.

    The place that the queue writes next is not in their checkpoints (it is a Python number
    there) and starts at 0, as it does when their code resumes. A key that is missing is found by
    :func:`~mmps.converters.check_names`, or where the result is loaded.
    """
    converted = to_mmps(state_dict, RULES)
    converted.state_dict[_QUEUE_HEAD] = torch.zeros((), dtype=torch.int64)
    return converted


def seqnet_from_mmps(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back; the background's box regressors, which SeqNet never reads, are zero."""
    return from_mmps({k: v for k, v in state_dict.items() if k != _QUEUE_HEAD}, RULES)
