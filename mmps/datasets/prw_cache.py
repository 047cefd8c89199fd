"""All annotation files of a PRW split at once, kept parsed between runs.

PRW keeps each frame's persons in a file of its own. Opening thousands of small files takes
seconds from a warm local disk and minutes from a cold or a network one, so the rows are kept in
one ``.npz`` in the user's cache folder (``$XDG_CACHE_HOME/mmps``, else ``~/.cache/mmps``). It is
valid for exactly the files, sizes and modification times from which it was made.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from tqdm import tqdm

from .prw_files import read_person_rows

CACHE_FROM = 1000
"""Number of files from which a cache is kept: fewer are read about as fast as one."""

SILENT_SECONDS = 2.0
"""Reading that takes no longer shows no progress bar."""

NAMED_EXAMPLES = 3
"""Number of offending entries that a message spells out."""


def examples(entries: Sequence[str]) -> str:
    """The first few of many entries, and how many more there are, for a message."""
    more = len(entries) - NAMED_EXAMPLES
    return '; '.join(entries[:NAMED_EXAMPLES]) + (f'; and {more} more' if more > 0 else '')


def load_person_rows(folder: Path, frames: Sequence[str]) -> list[np.ndarray]:
    """Rows (id, x, y, w, h) of each frame, from the cache if it is valid, else from the files.

    Args:
        folder: the folder ``annotations``.
        frames: names without suffix.

    Returns:
        For each frame (N, 5) float64, as :func:`read_person_rows` gives them.

    Raises:
        FileNotFoundError: frames have no annotation file.
        ValueError: annotation files are damaged. Both name the first ones and count the rest.
    """
    names = [f'{frame}.jpg.mat' for frame in frames]
    fingerprint = _fingerprint(folder, names)
    cache = _cache_path(folder, names) if len(names) >= CACHE_FROM else None
    if cache is not None:
        rows = _load_cache(cache, fingerprint, len(names))
        if rows is not None:
            return rows
    rows = _parse(folder, names)
    if cache is not None:
        _save_cache(cache, fingerprint, rows)
    return rows


def _fingerprint(folder: Path, names: Sequence[str]) -> str:
    wanted = set(names)
    states = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name in wanted:
                stat = entry.stat()
                states[entry.name] = (stat.st_size, stat.st_mtime_ns)
    missing = [name for name in names if name not in states]
    if missing:
        raise FileNotFoundError(
            f'{folder}: {len(missing)} of {len(names)} frames have no annotation file: '
            f'{examples(missing)}'
        )
    digest = hashlib.sha256()
    for name in names:
        digest.update(repr((name, *states[name])).encode())
    return digest.hexdigest()


def _parse(folder: Path, names: Sequence[str]) -> list[np.ndarray]:
    rows, problems = [], []
    progress = tqdm(
        names,
        desc=f'Reading {folder}',
        unit='file',
        delay=SILENT_SECONDS,
        disable=not is_main_process(),
    )
    for name in progress:
        try:
            rows.append(read_person_rows(folder / name))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError(
            f'{len(problems)} of {len(names)} annotation files cannot be used (unpack the data '
            f'again?): {examples(problems)}'
        )
    return rows


def _cache_path(folder: Path, names: Sequence[str]) -> Path | None:
    try:
        base = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    except RuntimeError:  # no home folder
        return None
    key = hashlib.sha256('\n'.join([str(folder.resolve()), *names]).encode()).hexdigest()
    return base / 'mmps' / f'prw-rows-v1-{key[:16]}.npz'


def _load_cache(path: Path, fingerprint: str, num_files: int) -> list[np.ndarray] | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as content:
            if str(content['fingerprint']) != fingerprint:
                return None
            rows, counts = content['rows'], content['counts']
        if rows.shape != (counts.sum(), 5) or counts.shape != (num_files,):
            raise ValueError(f'rows of shape {rows.shape}, {counts.shape[0]} files')
    except Exception as error:  # whatever is wrong with it, the files themselves are at hand
        print_log(f'{path}: unusable cache, written anew ({error})', logger='current')
        return None
    return np.split(rows, np.cumsum(counts)[:-1])


def _save_cache(path: Path, fingerprint: str, rows: Sequence[np.ndarray]) -> None:
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A process that reads meanwhile sees the old file or the new one, never half of it.
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix='.tmp', delete=False) as file:
            temporary = file.name
            np.savez(
                file,
                fingerprint=np.array(fingerprint),
                rows=np.concatenate(rows),
                counts=np.array([len(part) for part in rows], dtype=np.int64),
            )
        os.replace(temporary, path)
    except OSError as error:  # a read-only or full home folder costs time, nothing else
        print_log(f'{path}: no cache written ({error})', logger='current', level=logging.DEBUG)
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
