from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmps.engine.compilation import compile_module
from mmps.models import RoIStage
from mmps.registry import HOOKS

from .channels_last_hook import pool_contiguous_maps


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile what most of the time goes to, the backbone and the RoI stages, part by part.

    MMEngine's own ``compile=True`` compiles the step of a whole model, with its data samples and
    boxes of ever new numbers. Here a part whose compilation fails, for want of a compiler or of an
    operation, is run as it is, with a warning that names it. Compilation takes a minute or so when
    a part is first used, and again for the first other size of images.

    Args:
        parts: names of modules in the model; by default ``backbone`` and every ``mmps.RoIStage``.
        options: of :func:`torch.compile`, such as ``backend``, ``mode`` and ``dynamic``.

    Raises:
        ValueError: the model has no part of that name.
    """

    def __init__(
        self, parts: Sequence[str] | None = None, *, options: dict[str, Any] | None = None
    ) -> None:
        self.parts = parts
        self.options = options or {}

    def before_run(self, runner: Runner) -> None:
        """Prepare the runner's model."""
        model = runner.model
        self.prepare(model.module if is_model_wrapper(model) else model, runner.logger.warning)

    def prepare(self, model: nn.Module, on_failure: Callable[[str], object]) -> None:
        """Have the parts of a model compiled when they are first used.

        Args:
            model: whose parts are looked up by name.
            on_failure: gets a message for every part that runs without.
        """
        # Compiled convolutions may give maps in channels-last format.
        pool_contiguous_maps(model)
        modules = dict(model.named_modules())
        parts = self.parts
        if parts is None:
            stages = [name for name, module in modules.items() if isinstance(module, RoIStage)]
            parts = ['backbone', *stages]
        for name in parts:
            if name not in modules:
                raise ValueError(
                    f'mmps.CompileHook: the model has no part {name!r}; its parts are '
                    f'{", ".join(dict(model.named_children()))} and what is in them.'
                )
            compile_module(modules[name], partial(_tell, on_failure, name), **self.options)


def _tell(on_failure: Callable[[str], object], name: str, reason: str) -> None:
    on_failure(f'{name} could not be compiled and runs without: {reason}')
