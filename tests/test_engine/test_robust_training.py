"""Data that training has to live with: unreadable images, nobody with an identity."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from tiny_run import EPOCH, QUEUE, Rows, make_runner

from mmps.datasets import LoadImage
from mmps.engine import build_resumable_loader
from mmps.engine.hooks import UnreadableImagesHook

DAMAGES = {
    'empty': lambda path: path.write_bytes(b''),
    'no image': lambda path: path.write_bytes(b'<html>404</html>'),
    'missing': lambda path: path.unlink(),
}


@pytest.fixture
def prw(tiny_prw: Path, tmp_path: Path) -> Path:
    """A copy with four training frames."""
    return Path(shutil.copytree(tiny_prw, tmp_path / 'PRW'))


def frames(root: Path) -> list[Path]:
    """The training frames."""
    dataset = make_loader(root, check=False).dataset
    return [Path(dataset.get_data_info(index)['img_path']) for index in range(len(dataset))]


def make_loader(root: Path, *, check: bool = True, workers: int = 0) -> Any:
    init_default_scope('mmdet')
    pipeline = [
        dict(type='mmps.LoadImage', skip_unreadable=True),
        dict(type='mmps.LoadPersonSearchAnnotations'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='mmps.PackPersonSearchInputs'),
    ]
    config = dict(
        batch_size=2,
        num_workers=workers,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(
            type='mmps.PRWDataset',
            data_root=str(root),
            split='train',
            check_frames=check,
            pipeline=pipeline,
        ),
    )
    return build_resumable_loader(config, seed=0)


class Logger:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, line: str) -> None:
        self.lines.append(line)


def epochs(hook: UnreadableImagesHook, loader: Any, count: int = 3) -> tuple[list[str], list[Any]]:
    """What the hook logs in some epochs, and the images that were loaded."""
    logger, loaded = Logger(), []
    runner = SimpleNamespace(logger=logger, train_dataloader=loader)
    for _ in range(count):
        for batch in loader:
            hook.before_train_iter(runner, 0, batch)
            loaded += [(sample.img_name, sample.flip) for sample in batch['data_samples']]
    return logger.lines, loaded


@pytest.mark.parametrize('damage', DAMAGES)
def test_an_unreadable_image_is_reported_once_and_replaced(damage: str, prw: Path) -> None:
    bad, *others = frames(prw)
    DAMAGES[damage](bad)
    lines, loaded = epochs(UnreadableImagesHook(0.25), make_loader(prw, check=False))
    assert len(lines) == 1
    assert f'another one takes its place: {bad} (' in lines[0]
    assert len(loaded) == 3 * 4
    assert {name for name, _ in loaded} <= {path.name for path in others}
    # What takes its place does not hang on the number of workers: resuming stays exact.
    again = epochs(UnreadableImagesHook(0.25), make_loader(prw, check=False, workers=2))
    assert again == (lines, loaded)


def test_too_many_unreadable_images_end_the_training(prw: Path) -> None:
    first, second, *_ = frames(prw)
    for path in (first, second):
        path.write_bytes(b'')
    message = (
        r'2 of 4 training images cannot be read, more than max_share=0\.25 of '
        rf'mmps\.UnreadableImagesHook allows: .*{first.name} .*; .*{second.name} '
    )
    with pytest.raises(ValueError, match=message):
        epochs(UnreadableImagesHook(0.25), make_loader(prw, check=False))


def test_all_of_them_unreadable(prw: Path) -> None:
    for path in frames(prw):
        path.unlink()
    loader = make_loader(prw, check=False)
    with pytest.raises(ValueError, match=r'10 images, one after another, .*; and 7 more'):
        next(iter(loader))


def test_an_image_that_must_not_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / 'frame.jpg'
    path.write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'An image cannot be read: .*frame\.jpg \(failed to load'):
        LoadImage()(dict(img_path=str(path)))
    from mmcv import imwrite

    imwrite(np.full((4, 6, 3), 9, np.uint8), str(tmp_path / 'good.png'))
    loaded = LoadImage(to_float32=True)(dict(img_path=str(tmp_path / 'good.png')))
    assert loaded['img'].dtype == np.float32
    assert loaded['img_shape'] == (4, 6)
    assert 'unreadable' not in loaded


class Strangers(Rows):
    """Nobody has an identity."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**super().__getitem__(index), 'pid': -1}


def test_an_epoch_without_identities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runner, '_log_env', lambda self, env_cfg: None)
    runner = make_runner(
        tmp_path,
        checkpoint={},
        train_dataloader=dict(
            batch_size=2,
            dataset=Strangers(augmented=True),
            sampler=dict(type='DefaultSampler'),
            collate_fn=dict(type='default_collate'),
        ),
    )
    runner.train()
    losses, _ = runner.message_hub.get_scalar('train/loss_reid').data
    assert losses.tolist() == [0.0] * 3 * EPOCH
    assert not runner.model.loss_reid.table.vectors.any()
    norms = runner.model.loss_reid.queue.vectors.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(QUEUE))
    assert all(p.isfinite().all() for p in runner.model.parameters())
    # The other losses go on being learned from.
    assert runner.message_hub.get_scalar('train/grad_norm').data[0].min() > 0
