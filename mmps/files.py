"""Writing whole files and folders or nothing: what was there stays until the new is complete."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def refuse_to_overwrite(paths: Iterable[Path]) -> None:
    """Raise FileExistsError if any of these paths exists; the message names all that do."""
    there = [str(path) for path in paths if path.exists()]
    if there:
        raise FileExistsError(f'{", ".join(there)}: already there; use --force to replace')


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which gets its name when the block ends without an exception.

    Its folder is made if need be; a file of that name is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, since a rename is atomic only within a file system.
    handle, temporary = tempfile.mkstemp(suffix='.tmp', prefix=path.name, dir=path.parent)
    try:
        with os.fdopen(handle, 'wb') as file:
            yield file
            # Else a loss of power may leave the name with nothing under it.
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp's files are for their owner only
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name when the block ends without an exception.

    It is filled as ``<path>.partial``; a folder ``path`` is removed only when that is complete.
    """
    partial = path.with_name(f'{path.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if path.exists():
            old = path.with_name(f'{path.name}.old')
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
            partial.rename(path)
            shutil.rmtree(old)
        else:
            partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
