"""One writer at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keep all other writers of a gallery away, in other processes and on other machines too.

    Args:
        root: folder of the gallery.

    Raises:
        ValueError: the file system has no locks.
    """
    path = root / 'gallery.lock'
    with path.open('ab') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise ValueError(
                f'{path}: this file system has no locks ({error}); mount it with them, or keep the '
                'gallery elsewhere'
            ) from error
        # Whoever writes shards has the lock, so these were left by processes that are dead.
        for stray in (root / 'shards').glob('*.tmp'):
            stray.unlink()
        yield
