import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmps.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep the model's convolutions in channels-last memory format, for training and test.

    Values stay the same but for rounding. Convolutions on CPUs, and in half precision on GPUs, are
    often faster in it; whether yours are is best measured.
    """

    def before_run(self, runner: Runner) -> None:
        """Convert the parameters; activations follow them."""
        runner.model.to(memory_format=torch.channels_last)
