from typing import Any

import torch
from mmengine.model import BaseModule
from mmpretrain.models.backbones.convnext import ConvNeXt, ConvNeXtBlock
from mmpretrain.models.utils import build_norm_layer
from torch import Tensor, nn

from mmps.registry import MODELS


@MODELS.register_module()
class ConvNeXtStage(BaseModule):
    """One stage of mmpretrain's ConvNeXt on its own, e.g. the fourth as a RoI head (SeqXt).

    Its parameters have the names they have in the whole backbone (``downsample_layers.3.*``,
    ``stages.3.*``, ``norm3.*``), so published ConvNeXt checkpoints load with
    ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')``.

    Args:
        arch: as mmpretrain's ConvNeXt has it: a name, or a dict of ``depths`` and ``channels`` of
            all stages.
        stage: which stage, 0-based; at least 1, as stage 0 has the stem before it.
        drop_path_rate: stochastic depth rate at the last block of the whole backbone.
        norm_cfg, act_cfg, linear_pw_conv, layer_scale_init_value, use_grn, with_cp: as
            mmpretrain's ConvNeXt has them.
        init_cfg: as in MMEngine.
    """

    def __init__(
        self,
        arch: str | dict[str, Any] = 'base',
        stage: int = 3,
        *,
        drop_path_rate: float = 0.0,
        norm_cfg: dict[str, Any] = dict(type='LN2d', eps=1e-6),
        act_cfg: dict[str, Any] = dict(type='GELU'),
        linear_pw_conv: bool = True,
        layer_scale_init_value: float = 1e-6,
        use_grn: bool = False,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = [
                dict(type='TruncNormal', layer=['Conv2d', 'Linear'], std=0.02, bias=0.0),
                dict(type='Constant', layer=['LayerNorm'], val=1.0, bias=0.0),
            ]
        super().__init__(init_cfg)
        settings = ConvNeXt.arch_settings[arch] if isinstance(arch, str) else arch
        depths, channels = settings['depths'], settings['channels']
        if not 1 <= stage < len(depths):
            raise ValueError(
                f'stage={stage}: ConvNeXt {arch!r} has stages 1 to {len(depths) - 1} after the '
                'stem; choose one of them.'
            )
        # Stochastic depth grows linearly over the blocks of the whole backbone.
        rates = torch.linspace(0, drop_path_rate, sum(depths)).tolist()
        rates = rates[sum(depths[:stage]) : sum(depths[: stage + 1])]
        width = channels[stage]
        self.stage = stage
        self.downsample_layers = nn.ModuleDict(
            {
                str(stage): nn.Sequential(
                    build_norm_layer(norm_cfg, channels[stage - 1]),
                    nn.Conv2d(channels[stage - 1], width, kernel_size=2, stride=2),
                )
            }
        )
        blocks = [
            ConvNeXtBlock(
                in_channels=width,
                drop_path_rate=rate,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
                linear_pw_conv=linear_pw_conv,
                layer_scale_init_value=layer_scale_init_value,
                use_grn=use_grn,
                with_cp=with_cp,
            )
            for rate in rates
        ]
        self.stages = nn.ModuleDict({str(stage): nn.Sequential(*blocks)})
        self.add_module(f'norm{stage}', build_norm_layer(norm_cfg, width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, H / 2, W / 2), normalised over channels."""
        key = str(self.stage)
        x = self.stages[key](self.downsample_layers[key](x))
        return getattr(self, f'norm{self.stage}')(x)
