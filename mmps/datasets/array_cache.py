"""Arrays that take long to read, kept in the user's cache folder between runs.

The folder is ``$XDG_CACHE_HOME/mmps``, else ``~/.cache/mmps``. An entry is an .npz file, valid for
exactly the sizes and modification times of the files from which it was made.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from mmengine.logging import print_log

from mmps.files import whole_file

T = TypeVar('T')


def cached(
    name: str,
    files: Iterable[tuple[str, os.stat_result]],
    *,
    read: Callable[[], T],
    to_arrays: Callable[[T], Mapping[str, np.ndarray]],
    from_arrays: Callable[[Mapping[str, np.ndarray]], T],
) -> T:
    """What ``read`` gives, from the cache where that is valid.

    A cache that cannot be read is written anew with a line in the log; one that cannot be written
    costs time, nothing else.

    Args:
        name: what is read and the version of the arrays, the beginning of the entry's name.
        files: the files that ``read`` reads: where each is, and its state.
        read: reads them.
        to_arrays: turns what was read into arrays; ``fingerprint`` is no name for one.
        from_arrays: turns such arrays back; any error says that they are not valid.
    """
    states = list(files)
    path = _entry(name, [file for file, _ in states])
    if path is None:
        return read()
    fingerprint = _digest(repr((file, stat.st_size, stat.st_mtime_ns)) for file, stat in states)
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as content:
                if str(content['fingerprint']) == fingerprint:
                    return from_arrays(content)
        except Exception as error:  # whatever is wrong with it, the files themselves are at hand
            print_log(f'{path}: unusable cache, written anew ({error})', logger='current')
    value = read()
    _save(path, {'fingerprint': np.array(fingerprint), **to_arrays(value)})
    return value


def _entry(name: str, files: Iterable[str]) -> Path | None:
    try:
        base = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    except RuntimeError:  # no home folder
        return None
    return base / 'mmps' / f'{name}-{_digest(files)[:16]}.npz'


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f'{line}\n'.encode())
    return digest.hexdigest()


def _save(path: Path, arrays: Mapping[str, Any]) -> None:
    try:
        with whole_file(path) as file:
            np.savez(file, **arrays)
    except OSError as error:  # a read-only or full home folder
        print_log(f'{path}: no cache written ({error})', logger='current', level=logging.DEBUG)
