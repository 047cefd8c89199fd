from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmps.registry import MODELS


@MODELS.register_module()
class NormAwareEmbedding(BaseModule):
    """Norm-aware embedding: one vector says who (direction) and whether anyone (norm).

    Chen et al., CVPR 2020, as in SeqNet's code: the features of every level go through Linear +
    norm and are concatenated to x (N, D); ``x / |x|`` is the embedding, and ``|x|``, rescaled by a
    one-channel BatchNorm, the logit of "person".

    Args:
        in_channels: channels of each level, C4 and res5 of a RoI in SeqNet.
        dim: D. Split evenly over the levels; a remainder goes to the last ones.
        norm_cfg: norm layer after each Linear: BatchNorm in SeqNet, ``mmps.PN1d`` in SeqXt;
            None for none.
        init_cfg: as in MMEngine.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (1024, 2048),
        dim: int = 256,
        *,
        norm_cfg: dict[str, Any] | None = dict(type='BN1d'),
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.dim = dim
        levels = len(in_channels)
        sizes = [dim // levels + (level >= levels - dim % levels) for level in range(levels)]
        self.projectors = nn.ModuleList(
            nn.Sequential(
                nn.Linear(channels, size),
                build_norm_layer(norm_cfg, size)[1] if norm_cfg else nn.Identity(),
            )
            for channels, size in zip(in_channels, sizes, strict=True)
        )
        self.rescaler = nn.BatchNorm1d(1)

    def init_weights(self) -> None:
        """Normal weights of std 0.01, of Linear and norm alike, and zero biases, as SeqNet's."""
        super().init_weights()
        for name, parameter in self.projectors.named_parameters():
            if name.endswith('bias'):
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, std=0.01)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Embed RoIs.

        Args:
            features: one (N, C) a level.

        Returns:
            Embeddings (N, D) of norm 1 and logits (N,) of "is a person", both float32.
        """
        parts = [
            projector(feature) for projector, feature in zip(self.projectors, features, strict=True)
        ]
        # Norms of a few hundred squares overflow or lose digits in half precision.
        with torch.autocast(parts[0].device.type, enabled=False):
            x = torch.cat(parts, dim=1).float()
            norms = x.norm(dim=1, keepdim=True)
            return F.normalize(x), self.rescaler(norms).squeeze(1)
