"""Tracks of a gallery's videos: made from the rows when asked for, and kept beside them."""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mmps.files import whole_file

from .catalog import Catalog
from .coverage import Coverage
from .schema import to_arrays
from .shards import ShardsChangedError, ShardVersion
from .tracks import NONE, link_tracks

_COLUMNS = ['row_id', 'source', 'frame', 'time', 'bbox', 'embedding']


@dataclass(frozen=True)
class _Tracks:
    """Tracks of one video's N rows, in the order of their frames."""

    row_ids: NDArray[np.int64]
    steps: NDArray[np.int64]  # number of the row's frame among those looked at
    first: NDArray[np.int64]  # place of the first row of each row's track


class TrackCache:
    """The tracks of videos, each made anew when the shards with rows of it change.

    When more of a video was indexed, only its rows from the first new one on are linked.

    Args:
        folder: where they are kept between processes. Nothing is lost with it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[str, tuple[frozenset[ShardVersion], _Tracks]] = {}

    def with_track(self, rows: pa.Table, catalog: Catalog) -> pa.Table:
        """Add the column ``track``.

        Args:
            rows: with ``row_id`` and ``source``.
            catalog: of the gallery's shards.

        Returns:
            The rows; ``track`` is the id of the first row of each row's track, -1 for rows of
            images.

        Raises:
            FileNotFoundError: a shard was deleted a moment ago.
            ShardsChangedError: a row was.
        """
        ids = rows['row_id'].to_numpy()
        sources = rows['source'].combine_chunks().dictionary_encode()
        codes = sources.indices.to_numpy(zero_copy_only=False)
        by_source = np.argsort(codes, kind='stable')
        starts = np.searchsorted(codes[by_source], np.arange(len(sources.dictionary)))
        tracks = np.full(len(ids), -1)
        rows_of = np.split(by_source, starts)[1:]
        for source, own in zip(sources.dictionary.to_pylist(), rows_of, strict=True):
            coverage = catalog.coverage.get(source)
            if coverage is None:
                raise ShardsChangedError(source)
            if len(coverage.frames) > 1:
                shards = catalog.with_source(source)
                tracks[own] = self._tracks_of(source, ids[own], coverage, shards)
        return rows.append_column(pa.field('track', pa.int64(), nullable=False), pa.array(tracks))

    def forget(self, sources: Iterable[str]) -> None:
        """Remove what is kept of sources."""
        for source in sources:
            self._kept.pop(source, None)
            self._path(source).unlink(missing_ok=True)

    def _tracks_of(
        self,
        source: str,
        row_ids: NDArray[np.int64],
        coverage: Coverage,
        shards: Mapping[ShardVersion, Path],
    ) -> NDArray[np.int64]:
        versions = frozenset(shards)
        known = self._kept.get(source)
        if known is None or known[0] != versions:
            old = self._load(source) if known is None else known[1]
            new = _link(_read(source, shards.values()), coverage, old)
            if not np.array_equal(new.row_ids, old.row_ids):
                self._save(source, new)
            known = self._kept[source] = versions, new
        tracks = known[1]
        order = np.argsort(tracks.row_ids)
        places = np.searchsorted(tracks.row_ids, row_ids, sorter=order)
        if (places == len(order)).any() or (tracks.row_ids[order[places]] != row_ids).any():
            raise ShardsChangedError(source)
        return tracks.row_ids[tracks.first[order[places]]]

    def _path(self, source: str) -> Path:
        return self.folder / f'{hashlib.sha256(source.encode()).hexdigest()[:32]}.npz'

    def _load(self, source: str) -> _Tracks:
        try:
            with np.load(self._path(source), allow_pickle=False) as content:
                return _Tracks(content['row_ids'], content['steps'], content['first'])
        except (OSError, ValueError, KeyError):  # none yet, or damaged: they are made anew
            nothing = np.zeros(0, dtype=np.int64)
            return _Tracks(nothing, nothing, nothing)

    def _save(self, source: str, tracks: _Tracks) -> None:
        with suppress(OSError), whole_file(self._path(source)) as file:  # a read-only gallery
            np.savez(file, **vars(tracks))


def _read(source: str, shards: Iterable[Path]) -> pa.Table:
    """A video's rows in the order of their frames; within a frame, in that of the detections."""
    rows = pa.concat_tables(_read_shard(source, shard) for shard in shards)
    return rows.take(pa.array(np.argsort(rows['frame'].to_numpy(), kind='stable')))


def _read_shard(source: str, shard: Path) -> pa.Table:
    # Opened once: by its path it is for the schema and again for the rows, and a deletion may put
    # another file in its place in between.
    with pa.OSFile(str(shard)) as file:
        return pq.read_table(file, columns=_COLUMNS, filters=[('source', '=', source)])


def _link(rows: pa.Table, coverage: Coverage, old: _Tracks) -> _Tracks:
    """Tracks of all rows; those of the first ones are taken from the old, where they agree."""
    row_ids = rows['row_id'].to_numpy()
    steps = np.searchsorted(np.sort([*coverage.frames]), rows['frame'].to_numpy())
    shorter = min(len(row_ids), len(old.row_ids))
    same = (row_ids[:shorter] == old.row_ids[:shorter]) & (steps[:shorter] == old.steps[:shorter])
    agree = shorter if same.all() else int(same.argmin())
    if agree < len(steps):
        agree = int(np.searchsorted(steps, steps[agree]))  # frames are linked as a whole
    known = np.full(len(row_ids), NONE)
    known[:agree] = old.first[:agree]
    first = link_tracks(
        steps,
        rows['time'].to_numpy(),
        to_arrays(rows['bbox']),
        to_arrays(rows['embedding']),
        known=known,
    )
    return _Tracks(row_ids, steps, first)
