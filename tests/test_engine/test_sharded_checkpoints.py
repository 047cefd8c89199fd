"""Checkpoints of a run whose lookup table is spread over two processes."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from tiny_run import (
    DIM,
    PERSONS,
    QUEUE,
    TOGETHER,
    TinyModel,
    in_processes,
    make_runner,
    outcome,
    train,
)

from mmps.engine.hooks import MemoryHook
from mmps.models import DOIMLoss
from mmps.models.losses import ShardedLookupTable


class ShardedModel(TinyModel):
    """The tiny model with a table that is spread over the processes."""

    def __init__(self) -> None:
        super().__init__()
        self.loss_reid = DOIMLoss(PERSONS, QUEUE, dim=DIM, sharded=True)


SHARDED = dict(model=dict(type=ShardedModel))
# A checkpoint after every iteration, and of the best weights after a validation. AdamW would make
# whole steps of the rounding errors that are the gradient of a bias before BatchNorm.
OFTEN: dict[str, Any] = dict(
    checkpoint=dict(by_epoch=False),
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.002)),
    **TOGETHER,
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    # Asks compilers for their versions, for the head of the log.
    monkeypatch.setattr(Runner, '_log_env', lambda self, env_cfg: None)


def train_spread(work_dir: Path, **settings: Any) -> None:
    runner = train(work_dir, **SHARDED, **settings)
    assert isinstance(runner.model.module.loss_reid.table, ShardedLookupTable)


def assert_close(work_dir: Path, reference: Path) -> None:
    ours, theirs = outcome(work_dir), outcome(reference)
    for part in ('weights_and_memory', 'figures'):
        assert ours[part].keys() == theirs[part].keys()
        torch.testing.assert_close(ours[part], theirs[part], rtol=1e-5, atol=1e-5)


def test_checkpoints_are_those_of_a_whole_table(tmp_path: Path) -> None:
    whole, spread = tmp_path / 'whole', tmp_path / 'spread'
    assert in_processes(lambda: train(whole, **OFTEN), whole) == [0, 0]
    assert in_processes(lambda: train_spread(spread, **OFTEN), spread) == [0, 0]
    assert_close(spread, whole)
    names = outcome(whole)['checkpoints']
    assert names == outcome(spread)['checkpoints']
    assert sum('best' in name for name in names) == 1
    for name in names:
        ours, theirs = (
            torch.load(folder / name, weights_only=True)['state_dict'] for folder in (spread, whole)
        )
        assert ours['loss_reid.table.vectors'].any(dim=1).all()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)

    # From the one to the other and back, in the middle of the last epoch.
    start = next(name for name in names if name == 'iter_7.pth')
    for run, source in ((train_spread, whole), (train, spread)):
        folder, chosen = tmp_path / run.__name__, str(source / start)
        resume = partial(run, folder, resume=True, load_from=chosen, **OFTEN)
        assert in_processes(resume, folder) == [0, 0]
        assert_close(folder, whole)

    # In a single process, the table is an ordinary one.
    changes = dict(SHARDED, load_from=str(spread / start), checkpoint=dict(by_epoch=False))
    runner = make_runner(tmp_path / 'single', **changes)
    runner.load_or_resume()
    loaded = runner.model.state_dict()['loss_reid.table.vectors']
    saved = torch.load(spread / start, weights_only=True)['state_dict']
    assert torch.equal(loaded, saved['loss_reid.table.vectors'])


def test_averaged_weights_go_with_the_whole_table(tmp_path: Path) -> None:
    def run(work_dir: Path, resume_from: Path | None = None, **settings: Any) -> None:
        if resume_from is not None:
            settings.update(resume=True, load_from=str(resume_from / 'iter_7.pth'))
        hooks = [EMAHook(momentum=0.1), MemoryHook(interval=1)]
        train(work_dir, custom_hooks=hooks, **OFTEN, **settings)

    whole, spread, resumed = (tmp_path / name for name in ('whole', 'spread', 'resumed'))
    assert in_processes(lambda: run(whole), whole) == [0, 0]
    assert in_processes(lambda: run(spread, **SHARDED), spread) == [0, 0]
    assert in_processes(lambda: run(resumed, spread, **SHARDED), resumed) == [0, 0]
    for folder in (spread, resumed):
        assert_close(folder, whole)
        ours, theirs = (
            torch.load((path / 'last_checkpoint').read_text(), weights_only=True)['ema_state_dict']
            for path in (folder, whole)
        )
        # What the averaged model would have of the memory is the model's own.
        assert theirs.keys() - ours.keys() == {'module.loss_reid.table.vectors'}
        weight = 'module.layers.0.weight'
        averaged = outcome(folder)['weights_and_memory'][weight.removeprefix('module.')]
        assert (ours[weight] - averaged).abs().max() > 1e-4
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-5, atol=1e-5)
