"""Checkpoints are written whole or not at all, and checked before they are resumed from."""

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner.checkpoint import save_checkpoint

from mmps.engine import checkpoint_to_resume
from mmps.engine.checkpoints import is_whole, look_for_the_best_here

ATOMIC = dict(backend='atomic')


def write(folder: Path, *numbers: int) -> list[Path]:
    """Checkpoints as the runner writes them, in this order."""
    paths = [folder / f'epoch_{number}.pth' for number in numbers]
    for age, path in enumerate(reversed(paths)):
        save_checkpoint({'x': torch.arange(100)}, str(path), backend_args=ATOMIC)
        os.utime(path, (1e9 - age, 1e9 - age))
    (folder / 'last_checkpoint').write_text(str(paths[-1]))
    return paths


def damage(path: Path, *, cut: int = 50) -> None:
    os.truncate(path, path.stat().st_size - cut)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    backend = get_file_backend(backend_args=ATOMIC)
    path = tmp_path / 'new' / 'file'
    backend.put(b'old', path)
    backend.put(b'new content', str(path))
    assert path.read_bytes() == b'new content'
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    (path,) = write(tmp_path, 1)
    before = path.read_bytes()
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'):
        save_checkpoint({'x': torch.arange(9)}, str(path), backend_args=ATOMIC)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ['epoch_1.pth', 'last_checkpoint']


def test_damage_is_found(tmp_path: Path) -> None:
    (path,) = write(tmp_path, 1)
    content = path.read_bytes()
    assert is_whole(path)
    flipped = bytearray(content)
    flipped[content.index(bytes([50, 0, 0, 0, 0, 0, 0, 0]))] ^= 1  # one number of the tensor
    for damaged in (content[:-1], content[:-200], content[: len(content) // 2], b'', flipped):
        path.write_bytes(damaged)
        assert not is_whole(path)
    assert not is_whole(tmp_path / 'missing.pth')


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged when a checkpoint is chosen."""
    messages: list[str] = []
    monkeypatch.setattr(
        'mmps.engine.checkpoints.print_log', lambda message, **kwargs: messages.append(message)
    )
    return messages


def test_the_newest_whole_one_is_chosen(tmp_path: Path, logged: list[str]) -> None:
    assert checkpoint_to_resume(str(tmp_path)) is None
    # Ten is after nine, and what is best is none to go on from.
    first, second, third = write(tmp_path, 8, 9, 10)
    save_checkpoint({}, str(tmp_path / 'best_search_mAP_epoch_9.pth'))
    assert checkpoint_to_resume(str(tmp_path)) == str(third)
    assert logged == []
    damage(third)
    assert checkpoint_to_resume(str(tmp_path)) == str(second)
    assert f'{third}: damaged' in logged[0]
    assert str(second) in logged[0]
    damage(second)
    assert checkpoint_to_resume(str(tmp_path)) == str(first)
    damage(first)
    with pytest.raises(ValueError, match=r'epoch_10\.pth is damaged, and there is no other'):
        checkpoint_to_resume(str(tmp_path))


@pytest.mark.parametrize('kind', ['epoch', 'iter'])
def test_copying_does_not_change_which_one_is_the_newest(kind: str, tmp_path: Path) -> None:
    # Neither in the order of their times nor in that of the letters of their names.
    for time, number in enumerate([10, 11, 8, 9]):
        path = tmp_path / f'{kind}_{number}.pth'
        save_checkpoint({}, str(path))
        os.utime(path, (1e9 + time, 1e9 + time))
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / f'{kind}_11.pth'))
    damage(tmp_path / f'{kind}_11.pth')
    assert checkpoint_to_resume(str(tmp_path)) == str(tmp_path / f'{kind}_10.pth')


@pytest.mark.parametrize(('iterations', 'newest'), [(11, 'epoch_2'), (13, 'iter_13')])
def test_checkpoints_of_epochs_and_of_iterations(
    iterations: int, newest: str, tmp_path: Path
) -> None:
    """A run that once wrote the ones and then the others; an epoch has six iterations."""
    for time, (name, done) in enumerate(
        [('epoch_2', 12), ('epoch_1', 6), (f'iter_{iterations}', iterations), ('iter_10', 10)]
    ):
        path = tmp_path / f'{name}.pth'
        save_checkpoint({'meta': dict(iter=done)}, str(path))
        os.utime(path, (1e9 + time, 1e9 + time))
    assert checkpoint_to_resume(str(tmp_path)) == str(tmp_path / f'{newest}.pth')


def test_weights_are_no_checkpoint_of_the_run(tmp_path: Path) -> None:
    save_checkpoint({}, str(tmp_path / 'resnet_50.pth'))
    assert checkpoint_to_resume(str(tmp_path)) is None


def test_a_name_that_was_not_written_to_the_end(tmp_path: Path) -> None:
    _, second = write(tmp_path, 1, 2)
    (tmp_path / 'last_checkpoint').write_text('')
    assert checkpoint_to_resume(str(tmp_path)) == str(second)


def test_a_name_that_is_not_there(tmp_path: Path, logged: list[str]) -> None:
    first, second = write(tmp_path, 1, 2)
    name = tmp_path / 'last_checkpoint'
    name.unlink()
    assert checkpoint_to_resume(str(tmp_path)) == str(second)
    damage(second)
    assert checkpoint_to_resume(str(tmp_path)) == str(first)
    start = f'{name}: not there, so training goes on from '
    assert logged == [f'{start}{second}', f'{start}{first}']
    damage(first)
    with pytest.raises(ValueError, match='last_checkpoint is not there, and there is no other'):
        checkpoint_to_resume(str(tmp_path))


def test_what_is_named_is_not_there(tmp_path: Path, logged: list[str]) -> None:
    """As where an older one was kept longer, or the folder was copied during training."""
    first, second = write(tmp_path, 1, 2)
    second.unlink()
    assert checkpoint_to_resume(str(tmp_path)) == str(first)
    assert logged == [f'{second}: not there, so training goes on from {first}']


@pytest.mark.parametrize('copied', [False, True])
def test_a_work_folder_that_was_moved_or_copied(copied: bool, tmp_path: Path) -> None:
    old, new = tmp_path / 'old', tmp_path / 'new'
    old.mkdir()
    write(old, 1, 2)
    if copied:
        shutil.copytree(old, new)
    else:
        old.rename(new)
    first, second = new / 'epoch_1.pth', new / 'epoch_2.pth'
    assert checkpoint_to_resume(str(new)) == str(second)
    damage(second)
    assert checkpoint_to_resume(str(new)) == str(first)
    damage(first)
    with pytest.raises(ValueError, match=rf'^{new}: .* {second} is damaged, and there is no oth'):
        checkpoint_to_resume(str(new))


def test_checkpoints_that_are_not_in_the_work_folder(tmp_path: Path) -> None:
    """As with ``out_dir`` of the hook."""
    work_dir, out_dir = tmp_path / 'work', tmp_path / 'out'
    out_dir.mkdir()
    work_dir.mkdir()
    first, second = write(out_dir, 1, 2)
    (out_dir / 'last_checkpoint').rename(work_dir / 'last_checkpoint')
    assert checkpoint_to_resume(str(work_dir)) == str(second)
    damage(second)
    assert checkpoint_to_resume(str(work_dir)) == str(first)


def test_the_best_of_each_metric_is_looked_for_in_the_own_folder(tmp_path: Path) -> None:
    hook = CheckpointHook(save_best=['mAP', 'AP', 'top1'], rule='greater', out_dir=str(tmp_path))
    hook.file_backend = get_file_backend(backend_args=ATOMIC)
    hook.best_ckpt_path_dict = dict(mAP='/old/best_mAP.pth', AP='/old/best_AP.pth', top1=None)
    (tmp_path / 'best_mAP.pth').touch()
    look_for_the_best_here(hook)
    assert hook.best_ckpt_path_dict == dict(mAP=f'{tmp_path}/best_mAP.pth', AP=None, top1=None)


def test_a_chosen_one_has_to_be_whole(tmp_path: Path) -> None:
    first, second = (str(path) for path in write(tmp_path, 1, 2))
    assert checkpoint_to_resume(str(tmp_path), chosen=first) == first
    address = 'https://example.com/epoch_1.pth'
    assert checkpoint_to_resume(str(tmp_path), chosen=address) == address
    damage(Path(second))
    with pytest.raises(ValueError, match=r'epoch_2\.pth: the file is damaged or no checkpoint'):
        checkpoint_to_resume(str(tmp_path), chosen=second)
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth: there is no such checkpoint'):
        checkpoint_to_resume(str(tmp_path), chosen='nowhere.pth')
