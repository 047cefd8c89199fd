"""Checkpoint files: written whole or not at all, and checked before a run is resumed from one."""

import logging
import os
import re
import zipfile
import zlib
from pathlib import Path

import torch
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import find_latest_checkpoint

_NUMBERED = re.compile(r'(epoch|iter)_(\d+)\.pth')


@register_backend('atomic')
class AtomicLocalBackend(LocalBackend):
    """Local files that are written whole or not at all: ``backend_args=dict(backend='atomic')``.

    A file is written beside its place, flushed to the disk and moved there. Whoever reads sees the
    old content or the new one, also where the process was killed or the disk became full.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, whose folder is made if it is not there."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Always the same name, so that what a killed process left is written over.
        temporary = path.with_name(f'.{path.name}.tmp')
        try:
            with open(temporary, 'wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def is_whole(path: Path) -> bool:
    """Whether a file is a checkpoint (a zip archive, as PyTorch writes them) without damage."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError):
        return False


def checkpoint_to_resume(work_dir: str, *, chosen: str | None = None) -> str | None:
    """The checkpoint from which a run goes on.

    Args:
        work_dir: of the run, also if it was moved or copied; its last checkpoint is taken, or,
            with a warning, the newest that is whole where that one is damaged or not known.
        chosen: the one that the user named instead; addresses (``https://...``) are not checked.

    Returns:
        Its path, or None where no checkpoint was written yet.

    Raises:
        FileNotFoundError: the chosen one is not there.
        ValueError: the chosen one, or every one of the run, is damaged.
    """
    if chosen is not None:
        if '://' not in chosen and not Path(chosen).is_file():
            raise FileNotFoundError(f'{chosen}: there is no such checkpoint to resume from')
        if '://' not in chosen and not is_whole(Path(chosen)):
            raise ValueError(
                f'{chosen}: the file is damaged or no checkpoint; resume from another one.'
            )
        return chosen
    folder = Path(work_dir)
    named = find_latest_checkpoint(work_dir)
    if named:
        # The folder may have been moved or copied since the name, with its path, was written.
        newest = folder / Path(named).name
        if not newest.exists() and not _numbered(folder):
            newest = Path(named)  # in the hook's own ``out_dir``
            folder = newest.parent
        if is_whole(newest):
            return str(newest)
    else:
        newest = folder / 'last_checkpoint'
        # An empty name is what a process leaves that is killed while it writes the name.
        if named is None and not _numbered(folder):
            return None
    problem = 'damaged' if newest.exists() else 'not there'
    path = _newest_whole(folder)
    if path is None:
        raise ValueError(
            f'{folder}: no checkpoint to resume from: {newest} is {problem}, and there is no '
            'other. Train anew without resuming, or resume from a checkpoint elsewhere.'
        )
    print_log(
        f'{newest}: {problem}, so training goes on from {path}',
        logger='current',
        level=logging.WARNING,
    )
    return str(path)


def look_for_the_best_here(hook: CheckpointHook) -> None:
    """Let a hook replace the best checkpoint of its own folder, and delete that of no other.

    A resumed run is told where the best one was: in the original, if its folder is a copy.

    Args:
        hook: whose ``before_train`` was called.
    """

    def here(path: str | None) -> str | None:
        own = path and hook.file_backend.join_path(hook.out_dir, Path(path).name)
        return own if own and hook.file_backend.exists(own) else None

    if hasattr(hook, 'best_ckpt_path'):  # of one metric, otherwise one of each
        hook.best_ckpt_path = here(hook.best_ckpt_path)
    elif hasattr(hook, 'best_ckpt_path_dict'):
        paths = hook.best_ckpt_path_dict
        hook.best_ckpt_path_dict = {metric: here(path) for metric, path in paths.items()}


def _numbered(folder: Path) -> dict[str, dict[int, Path]]:
    """Checkpoints to go on from: kind ('epoch', 'iter') -> number -> file."""
    found: dict[str, dict[int, Path]] = {}
    for path in folder.glob('*.pth'):
        if match := _NUMBERED.fullmatch(path.name):
            found.setdefault(match[1], {})[int(match[2])] = path
    return found


def _newest_whole(folder: Path) -> Path | None:
    """The checkpoint furthest in training; not by the files' times, which copying changes."""
    candidates = []
    for paths in _numbered(folder).values():
        newest_first = (paths[number] for number in sorted(paths, reverse=True))
        whole = next(filter(is_whole, newest_first), None)
        if whole is not None:
            candidates.append(whole)
    if len(candidates) > 1:  # numbers of epochs and of iterations do not compare
        return max(candidates, key=_iterations)
    return candidates[0] if candidates else None


def _iterations(checkpoint: Path) -> int:
    """How many were done when it was written."""
    # Memory-mapped: tensors are not read.
    iterations: int = torch.load(checkpoint, map_location='cpu', mmap=True)['meta']['iter']
    return iterations
