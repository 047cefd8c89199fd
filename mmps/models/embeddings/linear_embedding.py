from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmps.registry import MODELS


@MODELS.register_module()
class LinearEmbedding(BaseModule):
    """The embedding of OIM and OIMNet++: Linear and norm on the last features, then L2.

    Xiao et al., CVPR 2017, and Lee et al., ECCV 2022, as in the code of the latter.

    Args:
        in_channels: C of the last level, res5 of a RoI in OIMNet++.
        dim: D.
        bias: of the Linear.
        norm_cfg: norm layer after the Linear: None for none, as in OIM, or ``mmps.PN1d``, as in
            OIMNet++ (where it has no affine parameters).
        init_cfg: as in MMEngine; by default weights of the Linear are normal, std 0.01.
    """

    def __init__(
        self,
        in_channels: int = 2048,
        dim: int = 256,
        *,
        bias: bool = False,
        norm_cfg: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg or dict(type='Normal', layer='Linear', std=0.01))
        self.dim = dim
        self.linear = nn.Linear(in_channels, dim, bias=bias)
        self.norm = build_norm_layer(norm_cfg, dim)[1] if norm_cfg else nn.Identity()

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, None]:
        """Embed RoIs.

        Args:
            features: one (N, C) a level; only the last one is read.

        Returns:
            Embeddings (N, D) of norm 1, float32, and None: this head does not tell persons from
            background.
        """
        x = self.norm(self.linear(features[-1]))
        # Norms of a few hundred squares overflow or lose digits in half precision.
        with torch.autocast(x.device.type, enabled=False):
            return F.normalize(x.float()), None
