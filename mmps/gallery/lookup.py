"""Rows of a gallery by their ids, without reading whole shards."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .catalog import Catalog
from .shards import ROWS_PER_GROUP, ShardVersion, read_shard


class RowLookup:
    """Remembers which rows are in which shard, 28 bytes a row, as long as the shards stay."""

    def __init__(self) -> None:
        self._shards: dict[ShardVersion, Path] = {}
        self._of_shard: dict[ShardVersion, NDArray[np.int64]] = {}
        self._ids = np.zeros(0, dtype=np.int64)
        self._shard = np.zeros(0, dtype=np.int32)
        self._place = np.zeros(0, dtype=np.int64)

    def rows(self, catalog: Catalog, row_ids: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Rows by their ids.

        Args:
            catalog: of the shards.
            row_ids: at least one; also the same one twice.
            columns: names.

        Returns:
            Their rows, in the order asked.

        Raises:
            KeyError: ids that the shards do not have.
        """
        wanted = np.asarray(row_ids, dtype=np.int64).reshape(-1)
        while True:
            self._refresh(catalog)
            found = np.searchsorted(self._ids, wanted)
            known = found < len(self._ids)
            known[known] = self._ids[found[known]] == wanted[known]
            if not known.all():
                missing = wanted[~known][:3].tolist()
                raise KeyError(f'no row {missing} in the gallery; was it deleted?')
            # Gone, shorter or other rows at these places: a deletion has just written a shard anew.
            with suppress(FileNotFoundError, IndexError, pa.ArrowInvalid):
                rows = self._take(found, [*dict.fromkeys(['row_id', *columns])])
                if np.array_equal(rows['row_id'].to_numpy(), wanted):
                    return rows.select(columns)

    def _refresh(self, catalog: Catalog) -> None:
        catalog.refresh()
        if catalog.shards == self._shards:
            return
        shards: dict[ShardVersion, Path] = {}
        of_shard: dict[ShardVersion, NDArray[np.int64]] = {}
        for version, path in catalog.shards.items():
            with suppress(FileNotFoundError):
                known = self._of_shard.get(version)
                of_shard[version] = (
                    read_shard(path, ['row_id'])['row_id'].to_numpy() if known is None else known
                )
                shards[version] = path
        parts = list(of_shard.values())
        lengths = [len(part) for part in parts]
        ids = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
        order = np.argsort(ids)
        self._shards, self._of_shard, self._ids = shards, of_shard, ids[order]
        self._shard = np.repeat(np.arange(len(parts), dtype=np.int32), lengths)[order]
        self._place = np.concatenate([np.zeros(0, dtype=np.int64), *map(np.arange, lengths)])[order]

    def _take(self, found: NDArray[np.int64], columns: list[str]) -> pa.Table:
        """Rows at places of the sorted ids, read by groups of rows."""
        paths = list(self._shards.values())
        parts, order = [], []
        for number in np.unique(self._shard[found]):
            asked = np.flatnonzero(self._shard[found] == number)
            places = self._place[found[asked]]
            groups, which = np.unique(places // ROWS_PER_GROUP, return_inverse=True)
            with pq.ParquetFile(paths[number]) as file:
                part = file.read_row_groups(groups.tolist(), columns=columns)
            # All groups but the last of a shard are full.
            local = which * ROWS_PER_GROUP + places % ROWS_PER_GROUP
            parts.append(part.replace_schema_metadata(None).take(pa.array(local)))
            order.append(asked)
        return pa.concat_tables(parts).take(pa.array(np.argsort(np.concatenate(order))))
