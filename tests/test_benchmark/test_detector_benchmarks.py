"""`benchmark_train.py` and `benchmark_inference.py` on scaled-down configs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config, ConfigDict
from small_models import CONFIGS, HEIGHT, WIDTH, scaled_config
from torch import nn

from mmps.benchmark import (
    OTHER,
    build_detector,
    build_optimiser,
    compare,
    data_root,
    image_size,
    prepare_model,
    random_batch,
    summarise,
    with_options,
)

CPU = torch.device('cpu')
SHARED = {'data', 'preprocessing', 'backbone', 'RPN', 'proposals', 'sampling', 'losses'} | {
    'memory update',
    'optimiser',
    OTHER,
}
Run = Callable[..., dict[str, Any]]


def no_compiler(forward: Any) -> Any:
    """Takes the place of torch.compile on a machine that has none."""

    def fails(*args: Any) -> None:
        raise RuntimeError('no compiler\nand many lines more')

    return fails


@pytest.fixture
def run(tmp_path: Path, run_tool: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a tool on a config and gives its JSON report."""

    def run(tool: str, config: Config, *arguments: object) -> dict[str, Any]:
        path = tmp_path / 'small.py'
        config.dump(path)
        run_tool(f'analysis_tools/{tool}.py', path, '--device', 'cpu', '--json', *arguments)
        return json.loads(capsys.readouterr().out)

    return run


# --------------------------------------------------------------------- training


def test_a_training_step_of_two_stages(run: Run, tiny_prw: Path, tmp_path: Path) -> None:
    picture = tmp_path / 'new' / 'step.png'
    report = run(
        'benchmark_train',
        scaled_config('seqxt_convnext_b_prw', tiny_prw),
        *('--steps', 3, '--warmup', 1, '--out', picture, '--peak-tflops', 0.5),
    )
    assert report['data'] == str(tiny_prw)
    parts = report['parts']
    assert set(parts) == SHARED | {'stage 1', 'stage 2'}
    for part, times in parts.items():
        assert times['forward'] > 0, part
        trained = part in ('backbone', 'RPN', 'stage 1', 'stage 2', 'losses')
        assert (times['backward'] > 0) == trained, part
    # Nothing is left out: medians differ from step to step, but not by much.
    total = sum(sum(times.values()) for times in parts.values())
    step = report['step_ms']
    assert 0.5 * step['shortest'] < total < 1.5 * step['longest']
    assert report['images_per_second'] == pytest.approx(2000 / step['median'])
    assert report['tflop'] > 0
    assert report['tflops'] == pytest.approx(1000 * report['tflop'] / step['median'])
    assert report['peak_share'] == pytest.approx(report['tflops'] / 0.5)
    assert picture.read_bytes().startswith(b'\x89PNG')


def test_a_training_step_of_one_stage_on_noise(run: Run) -> None:
    report = run(
        'benchmark_train',
        scaled_config('oimnetpp_r50_prw'),
        *('--steps', 1, '--warmup', 0, '--batch-size', 3, '--with', 'bfloat16', 'channels-last'),
    )
    assert report['data'] == f'noise of {HEIGHT} x {WIDTH} pixels, 5 persons an image'
    assert set(report['parts']) == SHARED | {'RoI stage'}
    assert report['parts']['RoI stage']['backward'] > 0
    assert (report['batch_size'], report['options']) == (3, ['bfloat16', 'channels-last'])
    assert report['not_compiled'] == []
    assert 'peak_share' not in report


def test_flops_of_a_step_do_not_hang_on_how_it_is_done(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kernels of torch.compile are not seen; here it takes the backward pass away.
    monkeypatch.setattr(torch, 'compile', lambda forward: torch.no_grad()(forward))
    arguments = (scaled_config('oimnetpp_r50_prw'), '--steps', 1, '--warmup', 0)
    plain = run('benchmark_train', *arguments)
    compiled = run('benchmark_train', *arguments, '--with', 'channels-last', 'compiled')
    assert compiled['tflop'] == pytest.approx(plain['tflop'])


@pytest.mark.parametrize(
    ('tool', 'arguments', 'message'),
    [
        ('benchmark_train', ('--compare', 'bfloat16'), 'one step by part'),
        ('benchmark_inference', ('--precisions', 'float32', 'bfloat16'), 'one precision'),
    ],
)
def test_a_peak_is_that_of_one_precision(
    run: Run, capsys: pytest.CaptureFixture[str], tool: str, arguments: tuple[str], message: str
) -> None:
    with pytest.raises(SystemExit):
        run(tool, scaled_config('oimnetpp_r50_prw'), '--peak-tflops', 1, *arguments)
    assert f'--peak-tflops is for {message}' in capsys.readouterr().err


def test_steps_do_the_same_work_and_leave_the_weights(tiny_prw: Path) -> None:
    model = build_detector(scaled_config('seqnet_r50_prw'), CPU).train()
    settings = ConfigDict(
        optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1),
        clip_grad=dict(max_norm=1.0),
    )
    optimiser = build_optimiser(model, settings, device=CPU)
    before = [parameter.clone() for parameter in model.parameters()]
    batch = random_batch(2, (HEIGHT, WIDTH), num_persons=3)
    model.train_step(batch, optimiser)
    assert optimiser.optimizer.state  # it did step
    assert all(map(torch.equal, before, model.parameters()))
    assert settings.optimizer.lr == 0.1


def test_mixed_precision_on_a_cpu() -> None:
    model = nn.Linear(2, 2)
    settings = ConfigDict(
        type='AmpOptimWrapper',
        loss_scale='dynamic',
        dtype='bfloat16',
        optimizer=dict(type='SGD', lr=1),
    )
    optimiser = build_optimiser(model, settings, device=CPU)
    optimiser.initialize_count_status(model, 0, 1)
    with optimiser.optim_context(model):
        assert model(torch.ones(1, 2)).dtype == torch.bfloat16
    assert model(torch.ones(1, 2)).dtype == torch.float32


def test_summary_is_of_medians_in_the_order_of_a_step() -> None:
    steps = [
        {('backbone', 'forward'): t, ('backbone', 'backward'): 2 * t, ('data', 'forward'): 0.0}
        for t in (0.5, 0.001, 0.002)
    ]
    summary = summarise(steps)
    assert list(summary) == ['data', 'backbone']
    assert summary['backbone'] == {'forward': 2.0, 'backward': 4.0}


# --------------------------------------------------------------------- settings


def test_a_training_step_without_a_compiler(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, 'compile', no_compiler)
    report = run(
        'benchmark_train',
        scaled_config('seqnet_r50_prw'),
        *('--steps', 1, '--warmup', 0, '--with', 'compiled', 'fused-optimiser'),
    )
    assert report['options'] == ['compiled', 'fused-optimiser']
    assert [failure.split()[0] for failure in report['not_compiled']] == [
        'backbone',
        'roi_head.box_stage',
        'roi_head.reid_stage',
    ]
    assert report['parts']['backbone']['backward'] > 0


def test_settings_compared(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, 'compile', lambda forward: forward)
    settings = ['channels-last', 'compiled+torchvision-roi-align', 'bfloat16']
    report = run(
        'benchmark_train',
        scaled_config('oimnetpp_r50_prw'),
        *('--steps', 2, '--warmup', 0, '--compare', *settings),
    )
    ways = report['ways']
    assert list(ways) == ['as configured', *settings]
    first = ways['as configured']
    assert first['ratio'] == first['cpu_ratio'] == 1
    assert first['loss'] > 0
    assert ways['compiled+torchvision-roi-align']['loss'] == pytest.approx(first['loss'], rel=1e-5)
    assert ways['bfloat16']['loss'] != first['loss']
    assert not report['not_compiled']


def test_a_ratio_is_of_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([8.0, 2.0, 3.0, 1.0, 80.0, 10.0])
    monkeypatch.setattr('mmps.benchmark.comparison.seconds', lambda work, device: next(clock))
    report = compare({'slow': print, 'fast': print}, rounds=3, device=CPU)
    assert (report['slow']['ms'], report['fast']['ms']) == (8000, 2000)
    assert (report['slow']['ratio'], report['fast']['ratio']) == (1, 4)


def test_hooks_of_a_config_prepare_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, 'compile', no_compiler)
    config = scaled_config('oimnetpp_r50_prw')
    model = build_detector(config, CPU).eval()
    assert prepare_model(model, config) == []
    assert not any('forward' in vars(module) for module in model.modules())
    failures = prepare_model(model, with_options(config, ['channels-last', 'compiled']))
    assert model.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    model.test_step(random_batch(1, (HEIGHT, WIDTH)))
    assert [failure.split()[0] for failure in failures] == ['backbone', 'roi_head.roi_stage']


@pytest.mark.parametrize('option', ['faster', 'compiled+faster'])
def test_options_that_are_none(run: Run, capsys: Any, option: str) -> None:
    with pytest.raises(SystemExit):
        run('benchmark_train', scaled_config('oimnetpp_r50_prw'), '--compare', option)
    assert "'faster' is none of channels-last, compiled, " in capsys.readouterr().err


# --------------------------------------------------------------------- inference


def test_inference_on_noise(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def compile_(function: Any) -> Any:
        return lambda x: calls.append(len(x)) or function(x)

    monkeypatch.setattr(torch, 'compile', compile_)
    report = run(
        'benchmark_inference',
        scaled_config('seqnet_r50_prw'),
        *('--batch-sizes', 1, 2, '--repeats', 2, '--detections', 3, '--compile'),
        *('--precisions', 'float32', 'bfloat16'),
    )
    assert report['data'] == f'noise of {HEIGHT} x {WIDTH} pixels'
    settings = [(run['compiled'], run['precision'], run['images']) for run in report['runs']]
    assert settings == [
        (compiled, precision, images)
        for compiled in (False, True)
        for precision in ('float32', 'bfloat16')
        for images in (1, 2)
    ]
    for timed in report['runs']:
        # scale_down lets the RPN give 12.
        assert timed['boxes'] == {'box_stage': 12, 'reid_stage': 3}
        assert timed['images_per_second'] == pytest.approx(1000 * timed['images'] / timed['ms'])
        # As many boxes of each image.
        assert timed['tflop'] == pytest.approx(timed['images'] * report['runs'][0]['tflop'])
        assert timed['tflops'] == pytest.approx(1000 * timed['tflop'] / timed['ms'])
    # Images of the backbone, boxes of both stages: once to compile, then each of the four
    # combinations once and for every repeat.
    one, two = [1, 12, 3], [2, 24, 6]
    assert calls == one + 2 * (3 * one + 3 * two)


def test_inference_of_a_checkpoint_on_the_test_data(
    run: Run, tiny_prw: Path, tmp_path: Path
) -> None:
    config = scaled_config('oimnetpp_r50_prw', tiny_prw)
    model = build_detector(config, CPU)
    checkpoint = tmp_path / 'weights.pth'
    torch.save(model.state_dict(), checkpoint)
    arguments = ('--checkpoint', checkpoint, '--repeats', 1, '--batch-sizes', 2)
    report = run('benchmark_inference', config, *arguments)
    assert report['data'] == str(tiny_prw)
    assert report['checkpoint'] == str(checkpoint)
    assert report['runs'][0]['tflop'] > 0
    assert len(report['runs']) == 1
    report = run('benchmark_inference', config, *arguments, '--random', '--shape', 64, 96)
    assert report['data'] == 'noise of 64 x 96 pixels'


def test_a_failed_compilation_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, 'compile', no_compiler)
    config = scaled_config('oimnetpp_r50_prw')
    report = run('benchmark_inference', config, '--repeats', 1, '--compile')
    assert [timed.get('errors') for timed in report['runs']] == [
        None,
        [
            f'{part} could not be compiled and runs without: RuntimeError: no compiler'
            for part in ('backbone', 'roi_head.roi_stage')
        ],
    ]


# --------------------------------------------------------------------- what both make up


def test_noise_is_as_a_loader_gives_it() -> None:
    batch = random_batch(3, (60, 90), persons=4, num_persons=2)
    assert [tuple(image.shape) for image in batch['inputs']] == [(3, 60, 90)] * 3
    for sample in batch['data_samples']:
        gts = sample.gt_instances
        assert gts.pids[::2].tolist() == [-1, -1]
        assert set(gts.pids[1::2].tolist()) <= {0, 1}
        torch.testing.assert_close(
            gts.bboxes[:, 2:] - gts.bboxes[:, :2], torch.tensor([4.5, 12.0]).expand(4, 2)
        )
        assert (gts.bboxes >= 0).all()
        assert (gts.bboxes <= torch.tensor([90, 60, 90, 60])).all()


def test_sizes_and_folders_of_configs() -> None:
    config = Config.fromfile(CONFIGS / 'seqnet_r50_prw.py')
    dataset = config.train_dataloader.dataset
    assert image_size(dataset.pipeline) == (900, 1500)
    assert data_root(dataset) == Path('data/PRW-v16.04.20')
    wrapped = ConfigDict(type='RepeatDataset', dataset=dataset)
    assert data_root(wrapped) == Path('data/PRW-v16.04.20')
    assert data_root(ConfigDict(type='MyDataset')) is None
    with pytest.raises(ValueError, match=r'no Resize.*--shape'):
        image_size(dataset.pipeline[:2])


def test_other_models_are_refused() -> None:
    config = Config(dict(default_scope='mmdet', model=dict(type='BaseDataPreprocessor')))
    with pytest.raises(ValueError, match=r'BaseDataPreprocessor is no mmps\.PersonSearchDetector'):
        build_detector(config, CPU)
