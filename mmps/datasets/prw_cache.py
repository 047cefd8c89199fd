"""All annotation files of a PRW split at once, kept parsed between runs.

PRW keeps each frame's persons in a file of its own. Opening thousands of small files takes
seconds from a warm local disk and minutes from a cold or a network one, so the rows are kept in
one file of the cache (see :mod:`mmps.datasets.array_cache`).
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .array_cache import cached
from .messages import examples, progress
from .prw_files import read_person_rows

CACHE_FROM = 1000
"""Number of files from which a cache is kept: fewer are read about as fast as one."""


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
    states = _states(folder, names)
    if len(names) < CACHE_FROM:
        return _parse(folder, names)

    def from_arrays(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        rows, counts = arrays['rows'], arrays['counts']
        if rows.shape != (counts.sum(), 5) or counts.shape != (len(names),):
            raise ValueError(f'rows of shape {rows.shape}, {counts.shape[0]} files')
        return np.split(rows, np.cumsum(counts)[:-1])

    root = folder.resolve()
    return cached(
        'prw-rows-v2',
        [(str(root / name), states[name]) for name in names],
        read=lambda: _parse(folder, names),
        to_arrays=_to_arrays,
        from_arrays=from_arrays,
    )


def _states(folder: Path, names: Sequence[str]) -> dict[str, os.stat_result]:
    wanted = set(names)
    with os.scandir(folder) as entries:
        states = {entry.name: entry.stat() for entry in entries if entry.name in wanted}
    missing = [name for name in names if name not in states]
    if missing:
        raise FileNotFoundError(
            f'{folder}: {len(missing)} of {len(names)} frames have no annotation file: '
            f'{examples(missing)}'
        )
    return states


def _to_arrays(rows: list[np.ndarray]) -> dict[str, np.ndarray]:
    counts = np.array([len(part) for part in rows], dtype=np.int64)
    return {'rows': np.concatenate(rows), 'counts': counts}


def _parse(folder: Path, names: Sequence[str]) -> list[np.ndarray]:
    rows, problems = [], []
    for name in progress(names, what=f'Reading {folder}', unit='file'):
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
