from typing import Any

import torch
from mmcv.ops import RoIAlign
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmps.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep the model's convolutions in channels-last memory format, for training and test.

    Values stay the same but for rounding. Convolutions on CPUs, and in half precision on GPUs, are
    often faster in it; whether yours are is best measured.
    """

    def before_run(self, runner: Runner) -> None:
        """Prepare the runner's model."""
        self.prepare(runner.model)

    def prepare(self, model: nn.Module) -> None:
        """Convert the parameters; activations follow them."""
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        pool_contiguous_maps(model)


def pool_contiguous_maps(model: nn.Module) -> None:
    """Give every RoIAlign of a model contiguous maps.

    MMCV's takes channels-last maps for contiguous ones, and pools numbers from anywhere
    (https://github.com/open-mmlab/mmcv/issues/2203). The RoI heads of mmps see to it themselves,
    MMDetection's do not.
    """
    for module in model.modules():
        if isinstance(module, RoIAlign):
            module.register_forward_pre_hook(_with_contiguous_map)


def _with_contiguous_map(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (inputs[0].contiguous(), *inputs[1:])
