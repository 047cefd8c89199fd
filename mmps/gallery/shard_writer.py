"""Collects the rows of frames and adds them to a gallery in shards of a bounded size."""

import time
from collections import defaultdict
from types import TracebackType

import pyarrow as pa

from .coverage import Coverage, SourceEnd
from .schema import gallery_schema
from .store import Gallery


class ShardWriter:
    """Adds frames to a gallery, some at a time; to be used in a ``with`` block.

    What was added is written when the block ends, also by an exception.

    Args:
        gallery: where to.
        rows_per_shard: a shard is written once it has so many rows,
        seconds_per_shard: or when so much time has passed since the last one: what a search does
            not find yet, and what a process that is killed must do again.
    """

    def __init__(self, gallery: Gallery, *, rows_per_shard: int, seconds_per_shard: float) -> None:
        self.gallery = gallery
        self.rows_per_shard = rows_per_shard
        self.seconds_per_shard = seconds_per_shard
        self._forget()

    def __enter__(self) -> 'ShardWriter':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.write()

    def add(self, source: str, frame: int, rows: pa.Table) -> None:
        """Add a frame with the rows of its persons, of which there may be none."""
        self._rows.append(rows)
        self._frames[source].add(frame)
        self._count += rows.num_rows
        full = self._count >= self.rows_per_shard
        if full or time.monotonic() - self._since >= self.seconds_per_shard:
            self.write()

    def end(self, source: str, end: SourceEnd) -> None:
        """Note where a source ended."""
        self._frames[source] |= set()
        self._ends[source] = end

    def write(self) -> None:
        """Write what was added since the last time."""
        covered = {
            source: Coverage(frozenset(frames), self._ends.get(source))
            for source, frames in self._frames.items()
        }
        rows = pa.concat_tables([gallery_schema(self.gallery.embed_dim).empty_table(), *self._rows])
        if covered:
            self.gallery.append(rows, covered)
        self._forget()

    def _forget(self) -> None:
        self._rows: list[pa.Table] = []
        self._frames: defaultdict[str, set[int]] = defaultdict(set)
        self._ends: dict[str, SourceEnd] = {}
        self._count = 0
        self._since = time.monotonic()
