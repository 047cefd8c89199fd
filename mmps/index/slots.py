"""The rows of an index, numbered from 0 in the order of arrival: their slots.

The numbers inside an index are slots, not the rows' ids: a filter then is one bit for each slot,
and where the embedding of a slot lies follows from its number.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .filters import Filters
from .segments import DEAD, Segment, dead_segment


class Slots:
    """What is known of each slot. A slot is never given to another row.

    Shapes: S slots, those of removed rows among them.

    Attributes:
        row_ids: (S,) int64, ``DEAD`` where the row was removed.
        starts: first slot of each segment, ascending.
        segments: of those slots; a dropped one left a :func:`dead_segment`.
    """

    def __init__(self) -> None:
        self.row_ids: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.starts: list[int] = []
        self.segments: list[Segment] = []
        self._times: NDArray[np.float64] = np.zeros(0)
        self._cameras = _Names()
        self._sources = _Names()
        self._alive = 0

    def __len__(self) -> int:
        """How many rows there are, without the removed ones."""
        return self._alive

    def names(self) -> set[str]:
        """The names of the segments that are there."""
        return {segment.name for segment in self.segments if segment.name}

    def append(self, segments: Sequence[Segment]) -> None:
        """Give slots to the rows of segments."""
        start = len(self.row_ids)
        for segment in segments:
            self.starts.append(start)
            self.segments.append(segment)
            start += len(segment)
        self.row_ids = np.concatenate([self.row_ids, *(s.row_ids for s in segments)])
        self._times = np.concatenate([self._times, *(s.times for s in segments)])
        self._cameras.append([segment.cameras for segment in segments])
        self._sources.append([segment.sources for segment in segments])
        self._alive = int(np.count_nonzero(self.row_ids != DEAD))

    def drop(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Remove the rows of segments.

        Args:
            names: of segments that are there.

        Returns:
            The slots that became free.
        """
        names, freed = set(names), [np.zeros(0, dtype=np.int64)]
        for i, segment in enumerate(self.segments):
            if segment.name in names:
                freed.append(self.starts[i] + np.arange(len(segment)))
                self.segments[i] = dead_segment(len(segment))
        slots = np.concatenate(freed)
        slots = slots[self.row_ids[slots] != DEAD]
        self.kill(slots)
        return slots

    def kill(self, slots: NDArray[np.int64]) -> None:
        """Remove rows of segments that stay."""
        self.row_ids[slots] = DEAD
        self._alive = int(np.count_nonzero(self.row_ids != DEAD))

    def alive(self) -> NDArray[np.int64]:
        """The slots of the rows that are there, ascending."""
        return np.flatnonzero(self.row_ids != DEAD)

    def places(self, row_ids: Iterable[int]) -> dict[int, NDArray[np.int64]]:
        """Where rows are.

        Args:
            row_ids: those that there are none of pass.

        Returns:
            For each segment that has some of them, by its number, their slots.
        """
        slots = self.alive()
        wanted = np.fromiter(row_ids, dtype=np.int64)
        slots = slots[np.isin(self.row_ids[slots], wanted)]
        numbers = np.searchsorted(self.starts, slots, side='right') - 1
        return {int(number): slots[numbers == number] for number in np.unique(numbers)}

    def select(self, filters: Filters) -> NDArray[np.bool_]:
        """Which slots a search may find, (S,)."""
        selected = self.row_ids != DEAD
        if filters.cameras is not None:
            selected &= self._cameras.isin(filters.cameras)
        if filters.sources is not None:
            selected &= self._sources.isin(filters.sources)
        if filters.time is not None:
            begin, end = filters.time
            selected &= (self._times >= begin) & (self._times <= end)
        return selected

    def embeddings(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        """The embeddings of slots of segments that are there.

        Args:
            slots: (N,), at least one.

        Returns:
            (N, D).
        """
        order = np.argsort(slots)
        in_order = slots[order]
        parts, begin = [], 0
        while begin < len(in_order):
            number = bisect_right(self.starts, in_order[begin]) - 1
            start, segment = self.starts[number], self.segments[number]
            end = int(np.searchsorted(in_order, start + len(segment)))
            parts.append(segment.embeddings[in_order[begin:end] - start])
            begin = end
        found = np.empty((len(slots), parts[0].shape[1]), dtype=np.float32)
        found[order] = np.concatenate(parts)
        return found


def selector(selected: NDArray[np.bool_] | None) -> faiss.IDSelector | None:
    """What faiss calls a selector: a bit for each slot.

    Args:
        selected: (S,), the slots that may be found; None for all.
    """
    if selected is None:
        return None
    return faiss.IDSelectorBitmap(np.packbits(selected, bitorder='little'))


class _Names:
    """A name for each slot, as a number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._codes: NDArray[np.int32] = np.zeros(0, dtype=np.int32)

    def append(self, columns: Sequence[pa.DictionaryArray]) -> None:
        parts = [self._codes]
        for column in columns:
            names = column.dictionary.to_pylist()
            numbers = [self._numbers.setdefault(n, len(self._numbers)) for n in names]
            parts.append(np.array(numbers, dtype=np.int32)[column.indices.to_numpy()])
        self._codes = np.concatenate(parts)

    def isin(self, names: Iterable[str]) -> NDArray[np.bool_]:
        wanted = np.zeros(len(self._numbers), dtype=bool)
        wanted[[self._numbers[name] for name in names if name in self._numbers]] = True
        return wanted[self._codes]
