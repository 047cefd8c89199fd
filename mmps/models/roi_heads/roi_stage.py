from typing import Any

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmps.registry import MODELS

_POOLINGS = {'max': F.adaptive_max_pool2d, 'avg': F.adaptive_avg_pool2d}


@MODELS.register_module()
class RoIStage(BaseModule):
    """The last stage of a backbone as a RoI head, pooled: features of a RoI on two levels.

    Args:
        stage: config of the stage, e.g. MMDet's ``ResLayer`` or ``mmps.ConvNeXtStage``.
        pooling: ``'max'``, what SeqNet's and OIMNet++'s code do, or ``'avg'``, what SeqXt's text
            says (global average pooling).
        init_cfg: as in MMEngine.
    """

    def __init__(
        self,
        stage: dict[str, Any],
        *,
        pooling: str = 'max',
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if pooling not in _POOLINGS:
            raise ValueError(f'pooling={pooling!r}: choose one of {", ".join(_POOLINGS)}.')
        self.stage = MODELS.build(stage)
        self.pool = _POOLINGS[pooling]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """RoI features (N, C4, S, S) -> pooled input (N, C4) and pooled output (N, C5)."""
        return self.pool(x, 1).flatten(1), self.pool(self.stage(x), 1).flatten(1)
