"""MMEngine's AmpOptimWrapper with whole models; on a CPU, where it is told that there is a GPU."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import mmengine.runner.amp
import pytest
import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper, build_optim_wrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.runner import Runner
from small_models import Recorder, build_model, make_batch
from tiny_run import make_runner
from torch import Tensor, nn

from mmps.models import ProtoNorm1d


@pytest.fixture(autouse=True)
def _amp_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', partial(torch.amp.GradScaler, 'cpu'))
    # MMEngine's own has bfloat16 alone on a CPU.
    monkeypatch.setattr(mmengine.runner.amp, 'autocast', partial(torch.autocast, 'cpu'))
    monkeypatch.setattr(Runner, '_log_env', lambda self, env_cfg: None)


def make_model(name: str) -> Any:
    """A small model with full memories, that the loss has something to get wrong with."""
    sizes = dict(roi_head__loss_reid__num_persons=100, roi_head__loss_reid__queue_size=50)
    model = build_model(name, **sizes).train()
    model.init_weights()
    for memory in (model.roi_head.loss_reid.table, model.roi_head.loss_reid.queue):
        memory.vectors.copy_(F.normalize(torch.randn_like(memory.vectors)))
    return model


def forward(model: Any) -> tuple[Tensor, Tensor]:
    """The sum of all losses, and that of the re-identification."""
    torch.manual_seed(0)
    data = model.data_preprocessor(make_batch([0, 1, -1], [2, 0]), training=True)
    losses = model.loss(data['inputs'], data['data_samples'])
    return model.parse_losses(losses)[0], losses['loss_reid']


@pytest.fixture(scope='module', params=['seqxt_convnext_b_prw', 'seqnet_r50_prw'])
def reference(request: pytest.FixtureRequest) -> tuple[Any, tuple[Tensor, Tensor], list[Any]]:
    """A model before its first step, its losses in float32, and the proposals sampled for them."""
    model = make_model(request.param)
    trained = copy.deepcopy(model)
    trained.roi_head.sample = Recorder(trained.roi_head.sample)
    return model, forward(trained), trained.roi_head.sample.results


def amp_wrapper(model: nn.Module, dtype: str) -> AmpOptimWrapper:
    # The scale that it would start with is too large for the first steps, which it then skips.
    settings = dict(type='AmpOptimWrapper', dtype=dtype, loss_scale=64.0)
    wrapper = build_optim_wrapper(model, dict(settings, optimizer=dict(type='SGD', lr=0.01)))
    assert type(wrapper) is AmpOptimWrapper
    return wrapper


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_losses_are_those_of_float32(
    reference: tuple[Any, tuple[Tensor, Tensor], list[Any]], dtype: str
) -> None:
    model, expected, sampled = reference
    model = copy.deepcopy(model)
    # Which proposals are sampled is drawn by chance from a list that the last digit reorders.
    replay = iter(sampled)
    model.roi_head.sample = lambda *args: next(replay)
    wrapper = amp_wrapper(model, dtype)
    with wrapper.optim_context(model):
        losses = forward(model)
        # Mixed precision it is.
        conv = model.rpn_head.rpn_conv
        assert conv(torch.zeros(1, conv.in_channels, 2, 2)).dtype == getattr(torch, dtype)
    assert next(replay, None) is None
    assert expected[1] > 5
    for ours, theirs in zip(losses, expected, strict=True):
        assert ours.item() == pytest.approx(theirs.item(), rel=0.01)
        assert ours != theirs


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_memory_and_statistics_stay_float32(dtype: str) -> None:
    model = make_model('seqxt_convnext_b_prw')
    wrapper = amp_wrapper(model, dtype)
    before = copy.deepcopy(model.state_dict())
    with wrapper.optim_context(model):
        loss, _ = forward(model)
    wrapper.update_params(loss)
    model.roi_head.loss_reid.commit()
    changed = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32, torch.int64}
    assert {'rpn_head.rpn_conv.weight', 'roi_head.loss_reid.table.vectors'} < changed
    norms = [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, ProtoNorm1d))]
    assert {type(norm) for norm in norms} == {nn.BatchNorm1d, ProtoNorm1d}
    for norm in norms:
        assert norm.num_batches_tracked == 1
        assert norm.running_var.ne(1).all()


class Overflow(Hook):
    """Gradients of one iteration are infinite, as where the loss is scaled too far."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration
        self.states: list[dict[str, Tensor]] = []
        self.scales: list[float] = []

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if runner.iter == self.iteration:
            weight = runner.model.layers[0].weight
            self.handle = weight.register_hook(lambda g: g * torch.inf)

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if runner.iter == self.iteration:
            self.handle.remove()
        self.states.append(copy.deepcopy(runner.model.state_dict()))
        self.scales.append(runner.optim_wrapper.loss_scaler.get_scale())


@pytest.mark.parametrize(('clip', 'fused'), [(True, False), (False, False), (True, True)])
def test_a_skipped_step_leaves_the_memory_as_it_was(
    tmp_path: Path, clip: bool, fused: bool
) -> None:
    overflow = Overflow(1)
    settings = dict(type='AmpOptimWrapper', dtype='float16', loss_scale=dict(init_scale=1024.0))
    settings |= dict(clip_grad=dict(max_norm=1.0)) if clip else {}
    runner = make_runner(
        tmp_path,
        checkpoint={},
        hooks=(overflow,),
        optim_wrapper=dict(settings, optimizer=dict(type='SGD', lr=0.05, fused=fused)),
    )
    runner.train()
    assert overflow.scales[:3] == [1024, 512, 512]
    first, skipped, third = overflow.states[:3]
    memory = [name for name in first if name.startswith('loss_reid')]
    assert len(memory) > 3
    for name in [*memory, 'layers.0.weight']:
        assert torch.equal(skipped[name], first[name]), name
    for name in ('loss_reid.table.vectors', 'layers.0.weight'):
        assert not torch.equal(third[name], first[name])
