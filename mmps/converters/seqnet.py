"""SeqNet's published checkpoints (github.com/serend1p1ty/SeqNet)."""

from collections.abc import Mapping

from torch import Tensor

from .rules import Converted, Rule
from .torchvision_rules import mmps_to_published, published_to_mmps

RULES = (
    Rule('roi_heads.box_head.', 'roi_head.box_stage.stage.'),
    Rule('roi_heads.reid_head.', 'roi_head.reid_stage.stage.'),
    Rule('roi_heads.faster_rcnn_predictor.cls_score.', 'roi_head.bbox_head.fc_cls.', 'swap'),
    Rule('roi_heads.faster_rcnn_predictor.bbox_pred.', 'roi_head.bbox_head.fc_reg.', 'person'),
    Rule('roi_heads.box_predictor.bbox_pred.', 'roi_head.reid_bbox_head.fc_reg.', 'person'),
    Rule('roi_heads.embedding_head.projectors.feat_res4.', 'roi_head.embedding_head.projectors.0.'),
    Rule('roi_heads.embedding_head.projectors.feat_res5.', 'roi_head.embedding_head.projectors.1.'),
    Rule('roi_heads.embedding_head.rescaler.', 'roi_head.embedding_head.rescaler.'),
)


def seqnet_to_mmps(state_dict: Mapping[str, Tensor]) -> Converted:
    """SeqNet's ``state_dict`` to that of ``configs/seqnet_r50_*.py``."""
    return published_to_mmps(state_dict, RULES)


def seqnet_from_mmps(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back; the background's box regressors, which SeqNet never reads, are zero."""
    return mmps_to_published(state_dict, RULES)
