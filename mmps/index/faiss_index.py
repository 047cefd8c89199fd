"""The index inside the process, made of faiss and kept in the folder of the gallery."""

import fcntl
import json
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from mmengine.logging import print_log
from numpy.typing import NDArray

from mmps.files import whole_file
from mmps.gallery import Gallery

from .exact import ExactRows
from .filters import Filters
from .inverted import InvertedRows
from .protocol import nothing_found, unit_rows
from .segments import (
    DEAD,
    Segment,
    dead_segment,
    make_segment,
    open_segment,
    shards_by_name,
    without_rows,
)
from .slots import Slots

FORMAT = 1

EXACT_UP_TO = 200_000
"""Rows up to which a search compares with every row."""

Kind = Literal['exact', 'ivf']


class FaissIndex:
    """A :class:`mmps.index.GalleryIndex` of faiss, of one of two kinds.

    ``exact`` compares with every row (:mod:`mmps.index.exact`), ``ivf`` with the rows of a part of
    an inverted file (:mod:`mmps.index.inverted`). Both take rows in and let go of them in place.
    An inverted file is made anew, while the old one goes on answering, when four times as many
    rows have come as its centres were made for.

    Its folder has ``segments/*.arrow``, what :mod:`mmps.index.segments` keeps of each shard, and
    ``state.json``, which says which of them have which slots and names the inverted file. What is
    missing, damaged or of another format or model is made anew from the shards. Several processes
    may have one folder: each goes by its own memory and by the shards, the last to write stays.

    Args:
        folder: where it is kept.
        model_id: of the gallery.
        embed_dim: length of an embedding.
        kind: None chooses by the number of rows.
        exact_up_to: rows up to which ``exact`` is chosen.

    Raises:
        ValueError: there is no such kind.
    """

    def __init__(
        self,
        folder: Path,
        *,
        model_id: str,
        embed_dim: int,
        kind: Kind | None = None,
        exact_up_to: int = EXACT_UP_TO,
    ) -> None:
        if kind not in (None, 'exact', 'ivf'):
            raise ValueError(f"kind must be None, 'exact' or 'ivf': {kind!r}")
        self._folder = folder
        self._segments = folder / 'segments'
        self._about = dict(format=FORMAT, model_id=model_id, embed_dim=embed_dim)
        self._embed_dim = embed_dim
        self._kind = kind
        self._exact_up_to = exact_up_to
        self._changing = threading.Lock()  # one change at a time
        self._lock = threading.Lock()  # faiss cannot be searched while it is changed
        self._unsaved = 0  # rows that came since the folder was written
        self._freed = False  # whether rows went since
        self._rows: ExactRows | InvertedRows
        try:
            self._rows = self._load()
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            if not isinstance(error, FileNotFoundError):
                print_log(f'{folder}: made anew from the shards, for {error}', logger='current')
            self._rows = ExactRows(Slots(), embed_dim)

    @property
    def kind(self) -> str:
        """How it searches now, ``exact`` or ``ivf``."""
        return self._rows.kind

    def __len__(self) -> int:
        return len(self._rows.slots)

    def sync(self, gallery: Gallery) -> None:
        """See :meth:`mmps.index.GalleryIndex.sync`."""
        with self._changing:
            shards = shards_by_name(gallery)
            slots = self._rows.slots
            fresh: list[Segment] = []
            for name in sorted(shards.keys() - slots.names()):
                with suppress(FileNotFoundError):  # deleted since
                    fresh.append(make_segment(self._segments, gallery, shards[name]))
            gone = slots.names() - shards.keys()
            if fresh or gone:
                self._take(fresh, gone)
            self._save()
            for path in self._segments.glob('*.arrow'):
                if path.stem not in shards:
                    path.unlink(missing_ok=True)

    def remove(self, row_ids: Iterable[int]) -> None:
        """See :meth:`mmps.index.GalleryIndex.remove`."""
        with self._changing:
            slots = self._rows.slots
            for number, places in slots.places(row_ids).items():
                segment = slots.segments[number]
                erased = without_rows(self._segments, segment, places - slots.starts[number])
                with self._lock:
                    slots.segments[number] = erased
                    slots.kill(places)
                    self._rows.remove(places)
                self._freed = True
            self._save()

    def search(
        self, embeddings: NDArray[np.float32], *, k: int, filters: Filters | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See :meth:`mmps.index.GalleryIndex.search`."""
        queries = unit_rows(embeddings, self._embed_dim)
        similarities, row_ids = nothing_found(len(queries), k)
        with self._lock:
            slots = self._rows.slots
            selected = None if filters is None else slots.select(filters)
            count = len(slots) if selected is None else int(np.count_nonzero(selected))
            if count:
                results = self._rows.search(queries, min(k, count), selected)
                for i, (values, found) in enumerate(results):
                    similarities[i, : len(found)] = values
                    row_ids[i, : len(found)] = slots.row_ids[found]
        return similarities, row_ids

    def _take(self, fresh: list[Segment], gone: set[str]) -> None:
        """Take in segments and let go of others."""
        slots = self._rows.slots
        with self._lock:
            freed = slots.drop(gone)
            if len(freed):
                self._rows.remove(freed)
            first = len(slots.row_ids)
            slots.append(fresh)
        self._freed |= bool(gone)
        self._unsaved += sum(map(len, fresh))
        kind = self._wanted_kind(len(slots))
        outgrown = (
            isinstance(self._rows, InvertedRows) and len(slots.row_ids) > 4 * self._rows.built
        )
        if kind != self.kind or outgrown:
            self._make_anew(kind)
            return
        new = np.arange(first, len(slots.row_ids))
        new = new[slots.row_ids[new] != DEAD]
        for part in np.array_split(new, len(new) // 4096 + 1):
            with self._lock:  # for each, so that searches get their turn
                self._rows.add(part)

    def _wanted_kind(self, rows: int) -> str:
        if rows == 0:
            return 'exact'  # nothing to make lists of
        if self._kind is not None:
            return self._kind
        # Not to and fro where rows come and go around the limit.
        limit = self._exact_up_to if self.kind == 'exact' else self._exact_up_to // 2
        return 'exact' if rows <= limit else 'ivf'

    def _make_anew(self, kind: str) -> None:
        """Another search of the same rows in slots without gaps; the old one answers until then."""
        slots = Slots()
        slots.append([segment for segment in self._rows.slots.segments if segment.name])
        rows: ExactRows | InvertedRows
        if kind == 'exact':
            rows = ExactRows(slots, self._embed_dim)
        else:
            rows = InvertedRows.build(slots, self._embed_dim)
        with self._lock:
            self._rows = rows
        self._unsaved = len(slots)

    def _load(self) -> ExactRows | InvertedRows:
        """What the folder has.

        Raises:
            FileNotFoundError: it has nothing.
        """
        if not (self._folder / 'state.json').exists():
            raise FileNotFoundError(f'{self._folder}: no index')
        slots = Slots()
        with self._locked():
            state = json.loads((self._folder / 'state.json').read_bytes())
            if any(state[key] != value for key, value in self._about.items()):
                raise ValueError(f'it is of another format or model: {state}')
            segments = [self._open(name, rows) for name, rows in state['segments']]
            slots.append(segments)
            if state['inverted'] is None:
                return ExactRows(slots, self._embed_dim)
            file = self._folder / state['inverted']
            rows = InvertedRows.load(file, slots, visit=state['visit'], built=state['built'])
        if len(rows) != len(slots):
            # Segments are missing: their shards were deleted, or another process tidied up.
            rows.remove(np.flatnonzero(slots.row_ids == DEAD))
            self._freed = True
        if len(rows) != len(slots):
            raise ValueError(f'{file.name} has {len(rows)} rows instead of {len(slots)}')
        return rows

    def _open(self, name: str, rows: int) -> Segment:
        """The segment of that name if it is there as it was, else dead rows."""
        with suppress(FileNotFoundError, pa.ArrowInvalid):
            segment = open_segment(self._segments, name)
            if len(segment) == rows:
                return segment
        return dead_segment(rows)

    def _save(self) -> None:
        """Write what has changed.

        An inverted file is one large file: up to a twentieth of its rows are left to the next
        process, which adds them from their segments. What was deleted is gone from it at once.
        """
        inverted = self._rows if isinstance(self._rows, InvertedRows) else None
        few = 0 if inverted is None else len(self) // 20
        if not self._freed and self._unsaved <= few:
            return
        segments = [[segment.name, len(segment)] for segment in self._rows.slots.segments]
        state: dict[str, Any] = dict(self._about, segments=segments, inverted=None)
        with self._locked():
            if inverted is not None:
                state |= dict(
                    inverted=f'{uuid.uuid4().hex}.ivf', visit=inverted.visit, built=inverted.built
                )
                inverted.save(self._folder / state['inverted'])
            with whole_file(self._folder / 'state.json') as file:
                file.write(json.dumps(state).encode())
            for path in self._folder.glob('*.ivf'):
                if path.name != state['inverted']:
                    path.unlink()
        self._unsaved, self._freed = 0, False

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from writing the state, or from removing what it names."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / 'lock').open('ab') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
