"""What several readers tell the user in the same way."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from mmengine.dist import is_main_process
from tqdm import tqdm

T = TypeVar('T')

NAMED_EXAMPLES = 3
"""Number of offending entries that a message spells out."""

SILENT_SECONDS = 2.0
"""Reading that takes no longer shows no progress bar."""


def progress(entries: Iterable[T], *, what: str, unit: str) -> Iterable[T]:
    """The entries, with a progress bar of the main process once it takes long."""
    bar: Iterable[T] = tqdm(
        entries, desc=what, unit=unit, delay=SILENT_SECONDS, disable=not is_main_process()
    )
    return bar


def examples(entries: Sequence[str]) -> str:
    """The first few of many entries, and how many more there are, for a message."""
    more = len(entries) - NAMED_EXAMPLES
    return '; '.join(entries[:NAMED_EXAMPLES]) + (f'; and {more} more' if more > 0 else '')
