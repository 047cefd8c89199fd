"""Settings that make training faster change nothing but rounding, and fail softly."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._functorch.config as functorch_config
from functorch.compile import make_boxed_func
from mmcv.ops import RoIAlign
from mmengine.config import Config
from mmengine.runner import Runner
from small_models import CONFIGS, build_model, make_batch, scale_down
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd

from mmps.benchmark import OPTIONS, build_optimiser, with_options
from mmps.engine import ChannelsLastHook, CompileHook

METHODS = ['seqnet_r50_prw', 'seqxt_convnext_b_prw', 'oimnetpp_r50_prw']
BOXES = [torch.tensor([[10.0, 8, 45, 88], [60, 10, 100, 80]]), torch.tensor([[5.0, 5, 150, 90]])]
Prepare = Callable[[nn.Module], object]


def outputs_and_gradients(model: Any) -> list[Tensor]:
    """What comes out of given boxes, and the gradients; without NMS, which rounding may tip."""
    images = torch.randn(2, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    outputs = model.roi_head.reidentify(model.extract_feat(images), BOXES)
    tensors = [t for t in outputs if t is not None]
    model.zero_grad()
    sum(t.square().sum() for t in tensors).backward()
    parts = (model.backbone, model.roi_head)
    gradients = [p.grad for part in parts for p in part.parameters() if p.grad is not None]
    assert len(gradients) > 10
    return [*tensors, *gradients]


def assert_same(model: nn.Module, prepare: Prepare) -> None:
    other = copy.deepcopy(model)
    prepare(other)
    for found, expected in zip(
        outputs_and_gradients(other), outputs_and_gradients(model), strict=True
    ):
        error = (found - expected).abs().max()
        assert error <= 1e-4 * max(1, expected.abs().max())
    assert other.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize('name', METHODS)
def test_channels_last(name: str) -> None:
    assert_same(build_model(name).eval(), ChannelsLastHook().prepare)


@pytest.mark.parametrize('name', ['seqnet_r50_prw'])
def test_compiled(name: str) -> None:
    failures: list[str] = []
    # Inductor takes minutes; what is compiled, and how it is called, is the same without it.
    hook = CompileHook(options=dict(backend='aot_eager'))
    assert_same(build_model(name).eval(), lambda model: hook.prepare(model, failures.append))
    assert not failures


@pytest.mark.parametrize('name', ['seqnet_r50_prw'])
def test_roi_align_of_torchvision(name: str) -> None:
    setting = {'roi_head__bbox_roi_extractor__roi_layer__use_torchvision': True}
    expected = outputs_and_gradients(build_model(name).eval())
    found = outputs_and_gradients(build_model(name, **setting).eval())
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', ['seqnet_r50_prw', 'seqxt_sample'])
def test_fused_optimiser(name: str) -> None:
    results = []
    for options in ([], ['fused-optimiser']):
        settings = with_options(Config.fromfile(CONFIGS / f'{name}.py'), options).optim_wrapper
        torch.manual_seed(0)
        model = nn.Linear(5, 4)
        optimiser = build_optimiser(model, settings, device=torch.device('cpu'))
        assert bool(optimiser.optimizer.defaults['fused']) == bool(options)
        optimiser.optimizer.param_groups[0]['lr'] = 0.01
        for _ in range(5):
            optimiser.update_params(model(torch.randn(3, 5)).square().sum())
        results.append(model.weight.detach())
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-6)
    assert (results[0] - nn.Linear(5, 4).weight).abs().max() > 0.01


def test_mmcv_pools_maps_of_any_memory_format() -> None:
    maps = torch.randn(1, 4, 9, 11)
    rois = torch.tensor([[0.0, 1, 1, 6, 7]])
    model = nn.ModuleDict(dict(pool=RoIAlign(3), conv=nn.Conv2d(4, 4, 1)))
    expected = model['pool'](maps, rois)
    ChannelsLastHook().prepare(model)
    last = maps.to(memory_format=torch.channels_last)
    torch.testing.assert_close(model['pool'](last, rois), expected, rtol=0, atol=0)


def test_what_cannot_be_compiled_runs_without() -> None:
    def backend(graph: Any, inputs: Any) -> Any:
        raise OSError('no compiler here\nand much more')

    model = build_model('seqnet_r50_prw')
    messages: list[str] = []
    CompileHook(options=dict(backend=backend)).prepare(model, messages.append)
    losses = model(**model.data_preprocessor(make_batch([0, -1], [1])), mode='loss')
    assert torch.isfinite(losses['loss_reid'])
    assert [message.split()[0] for message in messages] == [
        'backbone',
        'roi_head.box_stage',
        'roi_head.reid_stage',
    ]
    assert all(message.endswith('OSError: no compiler here') for message in messages)
    assert 'forward' not in vars(model.backbone)


def test_a_lack_of_memory_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(graph: Any, inputs: Any) -> Any:
        def compiled(*args: Any) -> Any:
            raise torch.cuda.OutOfMemoryError('no memory left')

        return compiled

    monkeypatch.delattr('torch.OutOfMemoryError', raising=False)  # new in PyTorch 2.5
    failures: list[str] = []
    model = nn.ModuleDict(dict(linear=nn.Linear(2, 2)))
    CompileHook(['linear'], options=dict(backend=backend)).prepare(model, failures.append)
    with pytest.raises(torch.cuda.OutOfMemoryError, match='no memory left'):
        model['linear'](torch.ones(1, 2))
    assert not failures


@pytest.mark.skipif(
    not hasattr(functorch_config, 'force_non_lazy_backward_lowering'),
    reason='this PyTorch compiles the backward pass when it comes to it',
)
@pytest.mark.parametrize('dynamic', [False, True, None])
def test_a_backward_pass_that_cannot_be_compiled(dynamic: bool | None) -> None:
    def forward_compiler(graph: Any, inputs: Any) -> Any:
        return make_boxed_func(graph.forward)

    def backward_compiler(graph: Any, inputs: Any) -> Any:
        raise OSError('no compiler of gradients')

    torch._dynamo.reset()  # sizes that other tests used
    model = nn.ModuleDict(dict(linear=nn.Linear(4, 4)))
    messages: list[str] = []
    backend = aot_autograd(fw_compiler=forward_compiler, bw_compiler=backward_compiler)
    CompileHook(['linear'], options=dict(backend=backend, dynamic=dynamic)).prepare(
        model, messages.append
    )
    for rows in (3, 5, 6):
        model.zero_grad()
        model['linear'](torch.ones(rows, 4)).sum().backward()
        assert model['linear'].bias.grad.tolist() == [rows] * 4
    assert messages == [
        'linear could not be compiled and runs without: OSError: no compiler of gradients'
    ]
    assert not functorch_config.force_non_lazy_backward_lowering


def test_pytorch_that_has_no_setting_for_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmps.engine.compilation.functorch_config', object())
    failures: list[str] = []
    model = nn.ModuleDict(dict(linear=nn.Linear(4, 4)))
    CompileHook(['linear'], options=dict(backend='aot_eager')).prepare(model, failures.append)
    model['linear'](torch.ones(3, 4)).sum().backward()
    assert model['linear'].bias.grad.tolist() == [3] * 4
    assert not failures


def test_an_error_that_is_not_of_the_compilation_is_raised() -> None:
    failures: list[str] = []
    model = nn.ModuleDict(dict(linear=nn.Linear(2, 2)))
    CompileHook(['linear'], options=dict(backend='eager')).prepare(model, failures.append)
    with pytest.raises(RuntimeError, match='cannot be multiplied'):
        model['linear'](torch.ones(1, 3))
    assert not failures


def test_compiling_a_part_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"no part 'head'; its parts are .*backbone, "):
        CompileHook(['head']).prepare(build_model('oimnetpp_r50_prw'), print)


def test_fast_runtime_has_the_recommended_options() -> None:
    config = Config.fromfile(CONFIGS / '_base_' / 'fast_runtime.py')
    slow = Config.fromfile(CONFIGS / '_base_' / 'default_runtime.py')
    recommended = with_options(slow, ['channels-last', 'compiled'])
    assert config.to_dict() == recommended.to_dict()
    with pytest.raises(ValueError, match="no option 'faster'; choose of channels-last, "):
        with_options(slow, ['faster'])
    assert 'channels_last' not in slow.default_hooks
    assert 'channels-last' in OPTIONS


def test_training_with_the_fast_runtime(tiny_prw: Path, tmp_path: Path) -> None:
    config = scale_down(Config.fromfile(CONFIGS / 'oimnetpp_r50_prw.py'))
    config.merge_from_dict(OPTIONS['channels-last'] | OPTIONS['compiled'])
    config.default_hooks.compilation.options = dict(backend='aot_eager')
    config.train_dataloader.dataset.data_root = str(tiny_prw)
    config.train_cfg = dict(type='mmps.ResumableIterLoop', max_iters=1, val_interval=10)
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator', 'test_dataloader'):
        config[key] = None
    config.update(work_dir=str(tmp_path), test_cfg=None, test_evaluator=None, param_scheduler=None)
    config.custom_hooks = [dict(type='mmps.MemoryHook')]
    config.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=1)
    runner = Runner.from_cfg(config)
    runner.train()
    assert 'forward' in vars(runner.model.backbone)
    assert runner.model.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert 'could not be compiled' not in (next(tmp_path.glob('*/*.log'))).read_text()
    checkpoint = torch.load(tmp_path / 'iter_1.pth', weights_only=False)
    assert checkpoint['state_dict'].keys() == build_model('oimnetpp_r50_prw').state_dict().keys()
