"""Which shards there are and what they cover, kept up to date without reading them again."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from .coverage import Coverage, merge
from .shards import ShardVersion, read_about, shard_version


class Catalog:
    """What the shards of a gallery cover, read from the ends of their files.

    Args:
        folder: of the shards.
        model_id: of the model that made the embeddings.

    Attributes:
        shards: the shards by their versions, sorted by name.
        coverage: what is done of each source.
    """

    def __init__(self, folder: Path, *, model_id: str) -> None:
        self.folder = folder
        self.model_id = model_id
        self.shards: dict[ShardVersion, Path] = {}
        self.coverage: dict[str, Coverage] = {}
        self._parts: dict[ShardVersion, Mapping[str, Coverage]] = {}

    def refresh(self) -> None:
        """Take note of shards that have come, gone or changed.

        Raises:
            ValueError: one is damaged or of another model; the message names it.
        """
        versions, parts = {}, {}
        for path in sorted(self.folder.glob('*.parquet')):
            with suppress(FileNotFoundError):  # deleted since it was listed
                version = shard_version(path)
                parts[version] = self._parts.get(version) or self._read(path)
                versions[version] = path
        new = set(parts.keys() - self._parts.keys())
        if self._parts.keys() - parts.keys():
            self.coverage, new = {}, set(parts)
        self.shards, self._parts = versions, parts
        to_merge: defaultdict[str, list[Coverage]] = defaultdict(list)
        for version in new:
            for source, part in parts[version].items():
                to_merge[source].append(part)
        for source, of_source in to_merge.items():
            done = self.coverage.get(source)
            self.coverage[source] = merge(of_source if done is None else [done, *of_source])

    def with_source(self, source: str) -> dict[ShardVersion, Path]:
        """Those shards that cover frames of a source."""
        return {v: path for v, path in self.shards.items() if source in self._parts[v]}

    def part(self, version: ShardVersion) -> Mapping[str, Coverage]:
        """What one shard covers."""
        return self._parts[version]

    def _read(self, shard: Path) -> Mapping[str, Coverage]:
        model_id, part = read_about(shard)
        if model_id != self.model_id:
            raise ValueError(
                f'{shard}: made with another model (id {model_id}) than its gallery '
                f'({self.model_id}). Move it away.'
            )
        return part
