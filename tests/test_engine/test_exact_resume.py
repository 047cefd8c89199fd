"""Killed at any moment and resumed, a run ends as one that was never interrupted."""

import json
import os
import runpy
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from small_models import CONFIGS, scaled_config
from tiny_run import (
    BATCH,
    EPOCH,
    ITEMS,
    TOGETHER,
    Kill,
    assert_same_outcome,
    differences,
    in_processes,
    make_runner,
    outcome,
    run_and_kill,
    start_child,
    train,
    wait_for,
)

TRAIN = CONFIGS.parent / 'tools/train.py'
BY_EPOCH = dict(checkpoint=dict(by_epoch=True))
MID_EPOCH = dict(checkpoint=dict(by_epoch=False), workers=2)
ITERATIONS = dict(
    by_epoch=False, checkpoint=dict(by_epoch=False), sampler='InfiniteSampler', workers=1
)


@pytest.fixture(scope='module', autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # Asks compilers for their versions, for the head of the log.
        patch.setattr(Runner, '_log_env', lambda self, env_cfg: None)
        # Of no use against SIGKILL, and slow where others write to the disk, too.
        patch.setattr(os, 'fsync', lambda descriptor: None)
        yield


@pytest.fixture(scope='module', autouse=True)
def _as_many_threads_as_the_killed() -> Iterator[None]:
    """Sums of more threads are other sums, in the last bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Work folders of runs that nobody interrupted."""
    folders = {}
    for name, settings in dict(epoch=BY_EPOCH, middle=MID_EPOCH, iterations=ITERATIONS).items():
        folders[name] = tmp_path_factory.mktemp(name)
        train(folders[name], **settings)
    return folders


def resume(work_dir: Path, **settings: Any) -> Runner:
    return train(work_dir, resume=True, **settings)


@pytest.mark.parametrize(
    ('stage', 'iteration'),
    [
        ('before_train_iter', EPOCH + 3),  # in the middle of the second epoch
        ('before_val_iter', EPOCH),  # a checkpoint, but its validation is not done
        ('after_val_epoch', 2 * EPOCH),  # validated, the next epoch not begun
        ('before_val_iter', 3 * EPOCH),  # only the last validation is missing
    ],
)
def test_epochs(stage: str, iteration: int, references: dict[str, Path], tmp_path: Path) -> None:
    run_and_kill(tmp_path, stage, iteration, **BY_EPOCH)
    resume(tmp_path, **BY_EPOCH)
    assert_same_outcome(tmp_path, references['epoch'])


@pytest.mark.parametrize('iteration', [1, EPOCH - 1, EPOCH, 2 * EPOCH + 4])
def test_in_the_middle_of_an_epoch(
    iteration: int, references: dict[str, Path], tmp_path: Path
) -> None:
    run_and_kill(tmp_path, 'before_train_iter', iteration, **MID_EPOCH)
    assert torch.load(tmp_path / f'iter_{iteration}.pth')['meta']['iter'] == iteration
    # The number of workers may be another one.
    runner = resume(tmp_path, **{**MID_EPOCH, 'workers': 0})
    assert_same_outcome(tmp_path, references['middle'])
    # What was seen is not loaded again.
    epochs, batches = divmod(iteration, EPOCH)
    loaded = runner.train_dataloader.dataset.dataset.loaded
    assert len(loaded) == (3 - epochs) * ITEMS - batches * BATCH


@pytest.mark.parametrize(('stage', 'iteration'), [('before_train_iter', 5), ('before_val_iter', 8)])
def test_iterations(
    stage: str, iteration: int, references: dict[str, Path], tmp_path: Path
) -> None:
    run_and_kill(tmp_path, stage, iteration, **ITERATIONS)
    runner = resume(tmp_path, **{**ITERATIONS, 'workers': 0})
    assert_same_outcome(tmp_path, references['iterations'])
    left = 3 * EPOCH - iteration
    assert len(runner.train_dataloader.dataset.dataset.loaded) == left * BATCH


def test_iterations_over_a_sampler_with_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda seconds: None)
    settings = {**ITERATIONS, 'sampler': 'DefaultSampler', 'workers': 0}
    train(tmp_path / 'whole', **settings)
    run_and_kill(tmp_path / 'killed', 'before_train_iter', EPOCH + 2, **settings)
    resume(tmp_path / 'killed', **settings)
    assert_same_outcome(tmp_path / 'killed', tmp_path / 'whole')


def test_killed_twice(references: dict[str, Path], tmp_path: Path) -> None:
    run_and_kill(tmp_path, 'before_train_iter', 4, **MID_EPOCH)
    run_and_kill(tmp_path, 'before_val_iter', 2 * EPOCH, resume=True, **MID_EPOCH)
    resume(tmp_path, **MID_EPOCH)
    assert_same_outcome(tmp_path, references['middle'])


def test_in_a_copy_of_the_work_folder(references: dict[str, Path], tmp_path: Path) -> None:
    old, new = tmp_path / 'old', tmp_path / 'new'
    run_and_kill(old, 'before_train_iter', EPOCH + 2, **MID_EPOCH)
    before = {path: path.read_bytes() for path in old.rglob('*') if path.is_file()}
    shutil.copytree(old, new)
    (best_before,) = new.glob('best_*.pth')
    resume(new, **MID_EPOCH)
    assert_same_outcome(new, references['middle'])
    assert {path: path.read_bytes() for path in old.rglob('*') if path.is_file()} == before
    # A better one was found, and takes the place of the copy.
    (best,) = new.glob('best_*.pth')
    assert best.name == next(references['middle'].glob('best_*.pth')).name != best_before.name


def test_the_seed_may_have_been_drawn_by_chance(
    references: dict[str, Path], tmp_path: Path
) -> None:
    for name, settings in dict(middle=MID_EPOCH, iterations=ITERATIONS).items():
        run_and_kill(tmp_path / name, 'before_train_iter', 5, **settings)
        resume(tmp_path / name, seed=None, **settings)
        assert_same_outcome(tmp_path / name, references[name])


def test_lines_of_the_log(references: dict[str, Path], tmp_path: Path) -> None:
    def lines(folder: Path) -> dict[tuple[int, bool], dict[str, float]]:
        """Those of training and of validation, by step; later runs write over earlier ones."""
        found = {}
        for log in sorted(
            folder.glob('*/vis_data/scalars.json'), key=lambda log: log.stat().st_mtime
        ):
            for line in log.read_text().splitlines():
                figures = {k: v for k, v in json.loads(line).items() if not k.endswith('time')}
                found[figures['step'], 'mean' in figures] = figures
        return found

    run_and_kill(tmp_path, 'before_train_iter', 2 * EPOCH + 3, **MID_EPOCH)
    resume(tmp_path, **MID_EPOCH)
    expected = lines(references['middle'])
    assert len(expected) >= 6
    assert lines(tmp_path) == expected


def test_killed_while_it_writes_a_checkpoint(
    references: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def kill_at_the_second(source: Path, target: Path) -> None:
        if Path(target).name == 'epoch_2.pth':
            os.truncate(source, os.path.getsize(source) // 2)
            os.kill(os.getpid(), 9)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, 'replace', kill_at_the_second)
        run_and_kill(tmp_path, 'after_train', -1, **BY_EPOCH)
    assert (tmp_path / '.epoch_2.pth.tmp').is_file()
    assert not (tmp_path / 'epoch_2.pth').exists()
    resume(tmp_path, **BY_EPOCH)
    assert not (tmp_path / '.epoch_2.pth.tmp').exists()
    assert_same_outcome(tmp_path, references['epoch'])


def test_truncated_checkpoint_falls_back_to_the_one_before(
    references: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    run_and_kill(tmp_path, 'before_train_iter', 2 * EPOCH + 1, **BY_EPOCH)
    newest = tmp_path / 'epoch_2.pth'
    os.truncate(newest, newest.stat().st_size - 100)
    capfd.readouterr()
    resume(tmp_path, **BY_EPOCH)
    warning = capfd.readouterr().out
    assert f'{newest}: damaged' in warning
    assert f'{tmp_path / "epoch_1.pth"}' in warning
    assert_same_outcome(tmp_path, references['epoch'])


def test_a_finished_run_is_not_changed(references: dict[str, Path], tmp_path: Path) -> None:
    train(tmp_path, **BY_EPOCH)
    resume(tmp_path, **BY_EPOCH)
    assert outcome(tmp_path)['place']['iter'] == 3 * EPOCH
    assert_same_outcome(tmp_path, references['epoch'])


def test_another_length_of_the_epoch_starts_it_over(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    settings = {**MID_EPOCH, 'workers': 0}
    run_and_kill(tmp_path, 'before_train_iter', EPOCH + 2, **settings)
    runner = make_runner(tmp_path, resume=True, **settings)
    runner._train_dataloader['batch_size'] = 3
    runner.train()
    warning = capfd.readouterr().out
    assert 'Epoch 2 starts over: its first 2 iterations were done where an epoch had 6' in warning
    assert 'now it has 4' in warning
    assert (runner.epoch, runner.iter) == (3, EPOCH + 2 + 2 * 4)


def test_two_processes_whose_number_does_not_divide_the_data(tmp_path: Path) -> None:
    settings = {**MID_EPOCH, 'workers': 0, **TOGETHER}
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    assert in_processes(lambda: train(whole, **settings), whole) == [0, 0]
    kill = Kill('before_train_iter', 4)
    codes = in_processes(lambda: train(killed, hooks=(kill,), **settings), killed)
    assert codes == [-signal.SIGKILL] * 2
    assert in_processes(lambda: resume(killed, **settings), killed) == [0, 0]
    # Eleven items are six for each process, three batches: one item is seen twice.
    assert outcome(whole)['place']['iter'] == 3 * 3
    assert_same_outcome(killed, whole, iterations=9)


@pytest.mark.skipif(not TRAIN.is_file(), reason='mmps is not run from its repository')
def test_a_whole_model_by_train_py(
    tiny_prw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = scaled_config('seqxt_sample', tiny_prw)
    config.train_dataloader.num_workers = 1
    config.merge_from_dict({'randomness': dict(seed=0), 'train_cfg.max_epochs': 2})
    config.default_hooks.checkpoint.update(by_epoch=False, max_keep_ckpts=-1)
    config.default_hooks.logger.interval = 1
    config.dump(tmp_path / 'config.py')
    # Laid out for every checkpoint, which takes longer than all the rest.
    monkeypatch.setattr(Config, 'pretty_text', property(lambda self: ''))
    monkeypatch.syspath_prepend(TRAIN.parent)

    def train_py(work_dir: Path, *arguments: str) -> None:
        words = ['train.py', str(tmp_path / 'config.py'), '--work-dir', str(work_dir), *arguments]
        options = ['--cfg-options', f'visualizer.name={work_dir}', f'experiment_name={work_dir}']
        monkeypatch.setattr('sys.argv', [*words, *options])
        runpy.run_path(str(TRAIN), run_name='__main__')

    # From outside, at whatever moment that is.
    killed = tmp_path / 'killed'
    child = start_child(lambda: train_py(killed))
    while child.is_alive() and not (killed / 'iter_1.pth').is_file():
        time.sleep(0.02)
    child.kill()
    wait_for(child)
    assert not (killed / 'iter_4.pth').exists()
    train_py(killed, '--resume')
    train_py(tmp_path / 'whole')

    ours, theirs = (
        torch.load(folder / 'iter_4.pth', weights_only=True)
        for folder in (killed, tmp_path / 'whole')
    )
    for key in ('state_dict', 'optimizer'):
        assert list(differences(dict(ours[key]), dict(theirs[key]))) == []
    for name, expected in theirs['message_hub']['log_scalars'].items():
        if not name.endswith('time'):
            values = ours['message_hub']['log_scalars'][name].data[0]
            np.testing.assert_array_equal(values, expected.data[0], err_msg=name)
