from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmps.models.layers import convert_batch_norm
from mmps.registry import MODELS

_POOLINGS: dict[str, Callable[..., Tensor]] = {
    'max': F.adaptive_max_pool2d,
    'avg': F.adaptive_avg_pool2d,
}


@MODELS.register_module()
class RoIStage(BaseModule):
    """The last stage of a backbone as a RoI head, pooled: features of a RoI on two levels.

    Args:
        stage: config of the stage, e.g. MMDet's ``ResLayer`` or ``mmps.ConvNeXtStage``.
        pooling: ``'max'``, what SeqNet's and OIMNet++'s code do, or ``'avg'``, what SeqXt's text
            says (global average pooling).
        proto_norm: ProtoNorm takes the place of every BatchNorm of the stage, and its weights and
            statistics: OIMNet+++.
        init_cfg: as in MMEngine.
    """

    def __init__(
        self,
        stage: dict[str, Any],
        *,
        pooling: str = 'max',
        proto_norm: bool = False,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if pooling not in _POOLINGS:
            raise ValueError(f'pooling={pooling!r}: choose one of {", ".join(_POOLINGS)}.')
        self.stage = MODELS.build(stage)
        if proto_norm:
            self.stage = convert_batch_norm(self.stage)
        self.pool = _POOLINGS[pooling]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """RoI features (N, C4, S, S) -> pooled input (N, C4) and pooled output (N, C5)."""
        return self.pool(x, 1).flatten(1), self.pool(self.stage(x), 1).flatten(1)
