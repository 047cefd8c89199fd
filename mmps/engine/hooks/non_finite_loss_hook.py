import math
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmps.engine.statistics import running_statistics
from mmps.models.collectives import holds_everywhere
from mmps.models.losses import InstanceMatchingLoss
from mmps.registry import HOOKS

from .batches import image_names


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Report losses and gradients that are not finite with the images they come from.

    Such an iteration changes nothing: neither weights and state of the optimiser nor the memory of
    the loss nor the running statistics of norm layers. It counts as an iteration all the same.
    Whether it is skipped or ends the training is up to ``max_skipped``. Gradients are looked at
    where ``optim_wrapper.clip_grad`` computes their norm anyway. Where several processes train
    together, all of them skip what one of them cannot take. Gradients that overflow in mixed
    precision while the loss is finite are the business of its scaler, not of this hook.

    Args:
        max_skipped: how many iterations in a row may be skipped; the next one is an error. With 0
            the first one is.

    Raises:
        FloatingPointError: in training, after ``max_skipped`` iterations in a row.
    """

    # Before MemoryHook (NORMAL), which writes the rows of the iteration to the memory.
    priority = 'ABOVE_NORMAL'

    def __init__(self, max_skipped: int = 0) -> None:
        self.max_skipped = max_skipped
        self._skipped_in_a_row = 0
        # Of the iterations since the last step: several where gradients are accumulated.
        self._names: list[str] = []
        self._spoilt = False
        # Of this iteration.
        self._losses: dict[str, Tensor] = {}
        self._findings: list[str] | None = None
        self._statistics: list[tuple[Tensor, Tensor]] = []

    def before_train(self, runner: Runner) -> None:
        """Watch what the model returns and what the optimiser is about to do."""
        self._runner = runner
        self._model: nn.Module = (
            runner.model.module if is_model_wrapper(runner.model) else runner.model
        )
        self._model.register_forward_hook(self._note_losses)
        runner.optim_wrapper.optimizer.register_step_pre_hook(self._check_step)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Keep what is needed to report this iteration and to take it back."""
        self._names += image_names(data_batch)
        self._losses, self._findings = {}, None
        # Copies cost a little on a GPU; a run that ends with the iteration needs none.
        if self.max_skipped > 0:
            self._statistics = [(s, s.clone()) for s in running_statistics(self._model)]

    def _note_losses(self, model: nn.Module, inputs: Any, outputs: Any) -> None:
        if model.training and isinstance(outputs, Mapping):
            self._losses = _totals(outputs)

    def _check_step(self, optimizer: torch.optim.Optimizer, *args: Any) -> None:
        """Take the gradients away from a step that must not be taken: it then does nothing."""
        # Gradients that were spoilt before were reported then.
        self._findings = self._find(with_gradients=not self._spoilt)
        if self._findings or self._spoilt:
            for group in optimizer.param_groups:
                for parameter in group['params']:
                    parameter.grad = None

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Take back and report the iteration if it has to be, and count it."""
        if self._findings is None:  # no step: accumulated, or skipped by the gradient scaler
            self._findings = self._find(with_gradients=False)
        findings, self._spoilt = self._findings, self._spoilt or bool(self._findings)
        if findings:
            self._take_back()
            self._report(runner, findings)
        if runner.optim_wrapper.should_update():
            self._names.clear()
            if not self._spoilt:
                self._skipped_in_a_row = 0
            self._spoilt = False

    def _find(self, *, with_gradients: bool) -> list[str]:
        """What is not finite and where, of all processes; nothing where all is well."""
        found = _non_finite(self._losses)
        norm = self._norm_of_gradients() if with_gradients else 0.0
        if holds_everywhere(not found and math.isfinite(norm)):
            return []
        images = ', '.join(self._names) or 'the batch does not name them'
        # One process spoils the gradients of all: they tell on a batch only where no loss does.
        losses = [f'{name} = {value}' for name, value in found.items()]
        in_all: list[tuple[list[str], str]] = all_gather_object((losses, images))
        if not any(theirs for theirs, _ in in_all):
            in_all = [([f'norm of the gradients = {norm}'], images) for _, images in in_all]
        return [f'{", ".join(what)}; images: {images}' for what, images in in_all if what]

    def _norm_of_gradients(self) -> float:
        wrapper = self._runner.optim_wrapper
        if not wrapper.clip_grad_kwargs or wrapper.grad_name != 'grad_norm':
            return 0.0
        return float(self._runner.message_hub.get_scalar('train/grad_norm').current())

    @torch.no_grad()
    def _take_back(self) -> None:
        for statistic, before in self._statistics:
            statistic.copy_(before)
        for module in self._model.modules():
            if isinstance(module, InstanceMatchingLoss):
                module.discard()

    def _report(self, runner: Runner, findings: list[str]) -> None:
        self._skipped_in_a_row += 1
        message = f'iteration {runner.iter + 1} is not finite: {" | ".join(findings)}.'
        if self._skipped_in_a_row > self.max_skipped:
            raise FloatingPointError(
                f'{message} The weights are those from before. Look at these images, lower the '
                'learning rate, or let some such iterations in a row be skipped: '
                'mmps.NonFiniteLossHook(max_skipped=N) in custom_hooks '
                f'(now {self.max_skipped}).'
            )
        runner.logger.warning(
            f'{message} Skipped, {self._skipped_in_a_row} of at most {self.max_skipped} in a row.'
        )


def _totals(losses: Mapping[str, Any]) -> dict[str, Tensor]:
    """Losses of a model, tensors or lists of them, as MMEngine sums them; without their graph."""
    totals = {}
    for name, value in losses.items():
        if 'loss' in name:
            parts = value if isinstance(value, list) else [value]
            totals[name] = torch.stack([part.detach().float().mean() for part in parts]).sum()
    return totals


def _non_finite(losses: Mapping[str, Tensor]) -> dict[str, float]:
    if not losses:
        return {}
    values = torch.stack(list(losses.values())).tolist()
    return {name: v for name, v in zip(losses, values, strict=True) if not math.isfinite(v)}
