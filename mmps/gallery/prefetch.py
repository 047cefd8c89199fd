"""Reading ahead: the next frames are decoded while the network looks at the last ones."""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar('T')


def prefetch(items: Iterable[T], *, ahead: int) -> Generator[T, None, None]:
    """The same items, produced by a thread of its own before they are asked for.

    Args:
        items: what to produce; their exceptions are raised here.
        ahead: so many items are ready at most.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(max_workers=1) as thread:
        ready = deque[Any](thread.submit(next, iterator, end) for _ in range(ahead))
        try:
            while (item := ready.popleft().result()) is not end:
                ready.append(thread.submit(next, iterator, end))
                yield item
        finally:
            for future in ready:
                future.cancel()
