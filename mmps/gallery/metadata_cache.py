"""All rows of a gallery without their large columns, read once."""

from contextlib import suppress

import pyarrow as pa

from .catalog import Catalog
from .schema import LARGE_COLUMNS, gallery_schema
from .shards import ShardsChangedError, ShardVersion, read_shard
from .track_cache import TrackCache


class MetadataCache:
    """Keeps the small columns of all rows; only new shards are read.

    Args:
        embed_dim: length of an embedding.
        tracks: makes the column ``track``.
    """

    def __init__(self, embed_dim: int, tracks: TrackCache) -> None:
        schema = gallery_schema(embed_dim)
        self._names = [name for name in schema.names if name not in LARGE_COLUMNS]
        self._empty = schema.empty_table().select(self._names)
        self._tracks = tracks
        self._parts: dict[ShardVersion, pa.Table] = {}
        self._table: pa.Table | None = None

    def table(self, catalog: Catalog) -> pa.Table:
        """The rows of all shards that there are now.

        Args:
            catalog: of the shards.
        """
        while True:
            catalog.refresh()
            if self._table is not None and self._parts.keys() == catalog.shards.keys():
                return self._table
            with suppress(FileNotFoundError, ShardsChangedError):
                parts = {}
                for version, path in catalog.shards.items():
                    known = self._parts.get(version)
                    parts[version] = read_shard(path, self._names) if known is None else known
                rows = pa.concat_tables([self._empty, *parts.values()])
                self._table = self._tracks.with_track(rows, catalog)
                self._parts = parts
