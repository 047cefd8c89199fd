"""What published checkpoints of SeqNet and OIMNet++ share: torchvision's RPN and OIM's memory."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .rules import Converted, Rule, Unread, from_mmps, to_mmps

SHARED_RULES = (
    Rule('backbone.', 'backbone.'),
    # Newer torchvision nests the RPN's convolution; published checkpoints have the plain names,
    # which are therefore the last ones and the ones written.
    Rule('rpn.head.conv.0.0.', 'rpn_head.rpn_conv.'),
    Rule('rpn.head.conv.', 'rpn_head.rpn_conv.'),
    Rule('rpn.head.cls_logits.', 'rpn_head.rpn_cls.'),
    Rule('rpn.head.bbox_pred.', 'rpn_head.rpn_reg.'),
    Rule('roi_heads.reid_loss.lut', 'roi_head.loss_reid.table.vectors'),
    Rule('roi_heads.reid_loss.cq', 'roi_head.loss_reid.queue.vectors'),
)
_QUEUE_HEAD = 'roi_head.loss_reid.queue.head'


def published_to_mmps(
    state_dict: Mapping[str, Tensor], rules: Sequence[Rule], unread: Sequence[Unread] = ()
) -> Converted:
    """Convert a published ``state_dict`` by the rules of a method and the shared ones.

    The memory, float16 in OIMNet++'s code, becomes float32. The place that the queue writes next is
    not in their checkpoints (it is a Python number there) and starts at 0, as it does when their
    code resumes. A key that is missing is found by :func:`~mmps.converters.check_names`, or where
    the result is loaded.
    """
    converted = to_mmps(state_dict, (*SHARED_RULES, *rules), unread)
    ours = converted.state_dict
    ours |= {key: value.float() for key, value in ours.items() if value.dtype == torch.float16}
    ours[_QUEUE_HEAD] = torch.zeros((), dtype=torch.int64)
    return converted


def mmps_to_published(
    state_dict: Mapping[str, Tensor], rules: Sequence[Rule], unread: Sequence[Unread] = ()
) -> dict[str, Tensor]:
    """The way back. The memory stays float32: their code casts it where it is loaded."""
    ours = {key: value for key, value in state_dict.items() if key != _QUEUE_HEAD}
    return from_mmps(ours, (*SHARED_RULES, *rules), unread)
