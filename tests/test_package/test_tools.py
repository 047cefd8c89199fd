"""`tools/train.py`, `tools/test.py` and `get_flops.py`, run in this process."""

import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmps

ROOT = Path(mmps.__file__).parents[1]
pytestmark = pytest.mark.skipif(
    not (ROOT / 'tools').is_dir(), reason='mmps is not run from its repository'
)

COMPONENTS = """
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS


@MODELS.register_module(force=True)
class ToolsModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def forward(self, inputs, mode='tensor'):
        outputs = self.linear(torch.stack(inputs))
        return {'loss': outputs.square().mean()} if mode == 'loss' else list(outputs)


@DATASETS.register_module(force=True)
class ToolsDataset(torch.utils.data.Dataset):
    metainfo = {}

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {'inputs': torch.ones(1) * index}


@METRICS.register_module(force=True)
class ToolsMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += [float(sample) for sample in data_samples]

    def compute_metrics(self, results):
        return {'sum': sum(results)}
"""

CONFIG = """
custom_imports = dict(imports=['tools_components'])
model = dict(type='ToolsModel')
train_dataloader = dict(
    batch_size=2, dataset=dict(type='ToolsDataset'), sampler=dict(type='DefaultSampler')
)
test_dataloader = train_dataloader
test_evaluator = dict(type='ToolsMetric')
test_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
auto_scale_lr = dict(enable=False, base_batch_size=8)
log_level = 'ERROR'
"""


# Stands in for Slurm's: writes down its arguments, and runs the command that follows its options
# as one process, without MMEngine's Slurm launcher, which asks Slurm's own tools for the nodes.
FAKE_SRUN = """#!/usr/bin/env bash
set -euo pipefail
printf '%s\\n' "$@" > srun_arguments
while [[ $1 == -* ]]; do
  if [[ $1 == -p ]]; then shift; fi
  shift
done
exec "$@" --launcher none
"""


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run a tool by name with arguments, as the command line does."""
    (tmp_path / 'tools_components.py').write_text(COMPONENTS)
    (tmp_path / 'config.py').write_text(CONFIG)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(ROOT / 'tools')
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, 'argv', [name, *arguments])
        runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')

    yield run
    sys.modules.pop('tools_components', None)


def test_train_resume_and_test(tool, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tool('train.py', 'config.py', '--auto-scale-lr', '--cfg-options', 'experiment_name=first')
    first = torch.load(tmp_path / 'work_dirs/config/epoch_1.pth', weights_only=True)
    # Batches of 2 for a learning rate that is meant for 8.
    assert first['optimizer']['param_groups'][0]['lr'] == pytest.approx(0.1 * 2 / 8)

    options = ['--cfg-options', 'train_cfg.max_epochs=2', 'experiment_name=resumed']
    tool('train.py', 'config.py', '--resume', *options)
    second = torch.load(tmp_path / 'work_dirs/config/epoch_2.pth', weights_only=True)
    assert (second['meta']['epoch'], second['meta']['iter']) == (2, 4)

    weight, bias = (second['state_dict'][f'linear.{name}'].item() for name in ('weight', 'bias'))
    checkpoint = str(tmp_path / 'work_dirs/config/epoch_2.pth')
    options = ['--work-dir', 'tested', '--cfg-options', 'experiment_name=tested']
    tool('test.py', 'config.py', checkpoint, *options)
    (result,) = (tmp_path / 'tested').glob('*/*.json')
    expected = weight * (0 + 1 + 2 + 3) + bias * 4
    assert Config.fromfile(result).sum == pytest.approx(expected, abs=1e-5)


def test_two_processes_without_gpu_train_and_test(tool, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        'CUDA_VISIBLE_DEVICES': '',
        'PYTHON': sys.executable,
        'PYTHONPATH': str(tmp_path),
        'PORT': str(port),
    }
    for arguments in (
        ['dist_train.sh', 'config.py', '2', '--auto-scale-lr'],
        ['dist_test.sh', 'config.py', 'work_dirs/config/epoch_1.pth', '2'],
    ):
        subprocess.run(
            ['bash', ROOT / 'tools' / arguments[0], *arguments[1:]],
            env=environment,
            cwd=tmp_path,
            check=True,
            timeout=300,
        )
    saved = torch.load(tmp_path / 'work_dirs/config/epoch_1.pth', weights_only=True)
    # Two processes with batches of 2 for a learning rate that is meant for 8.
    assert saved['optimizer']['param_groups'][0]['lr'] == pytest.approx(0.1 * 2 * 2 / 8)
    assert saved['meta']['iter'] == 1
    weight, bias = (saved['state_dict'][f'linear.{name}'].item() for name in ('weight', 'bias'))
    (result,) = (tmp_path / 'work_dirs/config').glob('*/*.json')
    assert Config.fromfile(result).sum == pytest.approx(6 * weight + 4 * bias, abs=1e-5)


def test_slurm_scripts_train_and_test(tool, tmp_path: Path) -> None:
    (tmp_path / 'srun').write_text(FAKE_SRUN)
    (tmp_path / 'srun').chmod(0o755)
    environment = {
        **os.environ,
        'PATH': f'{tmp_path}:{os.environ["PATH"]}',
        'PYTHON': sys.executable,
        'PYTHONPATH': str(tmp_path),
        'GPUS': '4',
        'GPUS_PER_NODE': '2',
        'SRUN_ARGS': '--qos=low --exclusive',
    }

    def run(script: str, *arguments: str) -> list[str]:
        subprocess.run(
            ['bash', str(ROOT / 'tools' / script), 'gpu', 'search', 'config.py', *arguments],
            env=environment,
            cwd=tmp_path,
            check=True,
            timeout=300,
        )
        return (tmp_path / 'srun_arguments').read_text().split()

    arguments = run('slurm_train.sh', 'work', '--cfg-options', 'train_cfg.max_epochs=1')
    assert {'--ntasks=4', '--ntasks-per-node=2', '--gres=gpu:2'} < set(arguments)
    assert {'--qos=low', '--exclusive', '--job-name=search', 'gpu'} < set(arguments)
    assert arguments[-4:] == ['--launcher', 'slurm', '--cfg-options', 'train_cfg.max_epochs=1']

    run('slurm_test.sh', 'work/epoch_1.pth', '--work-dir', 'tested')
    assert list((tmp_path / 'tested').glob('*/*.json'))


def test_amp_replaces_the_plain_wrapper_only(tool) -> None:
    enable_amp = runpy.run_path(str(ROOT / 'tools/train.py'))['enable_amp']
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper', clip_grad=dict(max_norm=10))))
    enable_amp(cfg)
    assert cfg.optim_wrapper == dict(
        type='AmpOptimWrapper', clip_grad=dict(max_norm=10), loss_scale='dynamic'
    )
    with pytest.raises(ValueError, match='ApexOptimWrapper'):
        enable_amp(Config(dict(optim_wrapper=dict(type='ApexOptimWrapper'))))


def test_auto_scale_lr_needs_a_base_batch_size(tool) -> None:
    enable = runpy.run_path(str(ROOT / 'tools/train.py'))['enable_auto_scale_lr']
    with pytest.raises(ValueError, match='base_batch_size'):
        enable(Config(dict()))


def test_flops_of_the_parts_add_up_and_grow_with_the_proposals(tool) -> None:
    measure = runpy.run_path(str(ROOT / 'tools/analysis_tools/get_flops.py'))['measure']
    cfg = Config.fromfile(ROOT / 'configs/seqnet_r50_prw.py')
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(cfg.model)
    few, many = (measure(model, image_size=(64, 96), num_proposals=n) for n in (2, 6))

    assert few['params'] == many['params'] == 48_402_335
    for report in (few, many):
        whole = [part for name, part in report['parts'].items() if '.' not in name]
        assert sum(part['params'] for part in whole) == report['params']
        assert sum(part['flops'] for part in whole) == report['flops']
    for name, part in few['parts'].items():
        factor = 3 if name.startswith('roi_head') else 1
        assert many['parts'][name]['flops'] == pytest.approx(factor * part['flops'], rel=1e-3)

    # By hand: the three bottlenecks of res5 on 14x14 RoIs, the first with stride 2 and a shortcut.
    macs = 14 * 14 * 1024 * 512 + 7 * 7 * (9 * 512 * 512 + 512 * 2048 + 1024 * 2048)
    macs += 2 * 7 * 7 * (2048 * 512 + 9 * 512 * 512 + 512 * 2048)
    assert few['parts']['roi_head.box_stage']['flops'] == pytest.approx(2 * macs, rel=0.01)
