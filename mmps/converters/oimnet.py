"""Published checkpoints of OIMNet, OIMNet++ and OIMNet+++ (github.com/cvlab-yonsei/OIMNetPlus)."""

from collections.abc import Mapping

from torch import Tensor

from .rules import Converted, Rule, Unread
from .torchvision_rules import mmps_to_published, published_to_mmps

RULES = (
    Rule('roi_heads.reid_head.', 'roi_head.roi_stage.stage.'),
    Rule('roi_heads.box_predictor.bbox_cls.', 'roi_head.bbox_head.fc_cls.', 'swap'),
    Rule('roi_heads.box_predictor.bbox_pred.', 'roi_head.bbox_head.fc_reg.', 'person'),
    Rule('roi_heads.embedding_head.projectors.feat_res5.0.', 'roi_head.embedding_head.linear.'),
    Rule('roi_heads.embedding_head.projectors.feat_res5.1.', 'roi_head.embedding_head.norm.'),
)
# Left over from SeqNet, whose first stage they are there.
UNREAD = (
    Unread('roi_heads.box_head.', like='roi_heads.reid_head.'),
    Unread('roi_heads.faster_rcnn_predictor.cls_score.', like='roi_heads.box_predictor.bbox_cls.'),
    Unread('roi_heads.faster_rcnn_predictor.bbox_pred.', like='roi_heads.box_predictor.bbox_pred.'),
)


def oimnet_to_mmps(state_dict: Mapping[str, Tensor]) -> Converted:
    """``state_dict`` of OIMNet, OIMNet++ or OIMNet+++ to that of ``configs/oim*_r50_*.py``."""
    return published_to_mmps(state_dict, RULES, UNREAD)


def oimnet_from_mmps(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back.

    A second res5, a second predictor and the background's box regressor, which their code never
    reads, are zero.
    """
    return mmps_to_published(state_dict, RULES, UNREAD)
