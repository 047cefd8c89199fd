"""A training step of a person search detector, taken apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import nn

from mmps.models import InstanceMatchingLoss, PersonSearchDetector

from .detectors import build_detector, prepare_model
from .timeline import BACKWARD, FORWARD, OTHER, Timeline

DATA, LOSSES, OPTIMISER = 'data', 'losses', 'optimiser'
PARTS = (
    DATA,
    'preprocessing',
    'backbone',
    'RPN',
    'proposals',
    'sampling',
    'stage 1',
    'stage 2',
    'RoI stage',
    LOSSES,
    'memory update',
    OPTIMISER,
    OTHER,
)
"""In the order of a step. Only single-stage methods have a 'RoI stage', only others two stages.

'data' is waiting for the loader, 'preprocessing' moves images to the device and normalises them,
'proposals' are chosen from what the RPN gives (NMS), 'sampling' matches boxes and persons for the
RoI head, 'losses' are those of detection and re-identification with their targets.
"""


class AutocastOptimWrapper(OptimWrapper):
    """Mixed precision where MMEngine's ``AmpOptimWrapper`` is not to be had: on a CPU.

    Args:
        dtype: of autocast.
        kwargs: of ``OptimWrapper``.
    """

    def __init__(self, *, dtype: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dtype = getattr(torch, dtype)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The forward pass."""
        with super().optim_context(model), torch.autocast('cpu', dtype=self._dtype):
            yield


def build_optimiser(
    model: nn.Module, settings: ConfigDict, *, device: torch.device
) -> OptimWrapper:
    """The optimiser of a config with a learning rate of 0, so that all steps do the same work.

    Args:
        model: whose parameters it takes.
        settings: ``optim_wrapper`` of the config.
        device: where the model is.
    """
    settings = ConfigDict(settings)
    if settings.get('type') == 'AmpOptimWrapper' and device.type == 'cpu':
        settings.update(type=AutocastOptimWrapper)
        settings.pop('loss_scale', None)
    wrapper = build_optim_wrapper(model, settings)
    for group in wrapper.optimizer.param_groups:
        group['lr'] = 0.0
    return wrapper


def watch_training(
    timeline: Timeline, model: PersonSearchDetector, optimiser: OptimWrapper
) -> None:
    """Count what a training step calls as :data:`PARTS`."""
    rpn, roi = model.rpn_head, model.roi_head
    two_stages = hasattr(roi, 'detect')
    for owner, method, part in (
        (model.data_preprocessor, 'forward', 'preprocessing'),
        (model, 'extract_feat', 'backbone'),
        (rpn, 'forward', 'RPN'),
        (rpn, 'predict_by_feat', 'proposals'),
        (rpn, 'loss_by_feat', LOSSES),
        (roi, 'sample', 'sampling'),
        (roi, 'reidentify', 'stage 2' if two_stages else 'RoI stage'),
        (optimiser, 'step', OPTIMISER),
        (optimiser, 'zero_grad', OPTIMISER),
    ):
        timeline.watch(owner, method, part)
    if two_stages:
        timeline.watch(roi, 'detect', 'stage 1')
    for name, child in roi.named_children():
        if isinstance(child, BBoxHead):
            timeline.watch(child, 'get_targets', LOSSES)
            timeline.watch(child, 'loss', LOSSES)
        elif name.startswith('loss_'):
            timeline.watch(child, 'forward', LOSSES)
    for module in model.modules():
        if isinstance(module, InstanceMatchingLoss):
            timeline.watch(module, 'commit', 'memory update')
    timeline.watch(optimiser, 'backward', LOSSES, BACKWARD)


def train_step(
    timeline: Timeline,
    model: PersonSearchDetector,
    optimiser: OptimWrapper,
    batches: Iterator[dict[str, Any]],
) -> dict[tuple[str, str], float]:
    """One step on the next batch, the update of the memory included.

    Returns:
        Seconds of each part and phase.
    """
    with timeline.step() as seconds:
        with timeline.part(DATA):
            batch = next(batches)
        model.train_step(batch, optimiser)
        for module in model.modules():
            if isinstance(module, InstanceMatchingLoss):
                module.commit()
    return seconds


def summarise(steps: list[dict[tuple[str, str], float]]) -> dict[str, dict[str, float]]:
    """Medians over steps, in ms, of every part that occurs: forward and backward."""
    summary = {}
    for part in PARTS:
        phases = {
            phase: 1e3 * median(step.get((part, phase), 0.0) for step in steps)
            for phase in (FORWARD, BACKWARD)
        }
        if any((part, phase) in step for step in steps for phase in phases):
            summary[part] = phases
    return summary


class RepeatedStep:
    """A training step of a config's model on one batch, each time with the same random numbers.

    Args:
        config: with its options.
        batch: as a loader gives it.
        device: where it is done.

    Attributes:
        loss: of the last step.
        failures: what could not be compiled.
    """

    def __init__(self, config: Config, batch: dict[str, Any], device: torch.device) -> None:
        self.model = build_detector(config, device).train()
        self.failures = prepare_model(self.model, config)
        self.optimiser = build_optimiser(self.model, config.optim_wrapper, device=device)
        self.batch = batch
        self.loss = float('nan')

    def __call__(self) -> None:
        """Train."""
        torch.manual_seed(0)
        losses = self.model.train_step(self.batch, self.optimiser)
        self.loss = float(losses['loss'].detach())
