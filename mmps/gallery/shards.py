"""One shard of a gallery: a Parquet file of rows that says which frames it covers.

It is written whole or not at all, so rows and coverage appear together. Embeddings and thumbnails
are stored as they are, without compression, which they would not gain from: whoever looks for the
bytes of a deleted person in the files can find them.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mmps.files import whole_file

from .coverage import Coverage
from .schema import LARGE_COLUMNS

ROWS_PER_GROUP = 256
"""One row is read by reading its group: a search's thumbnails must not cost whole shards."""

_KEY = b'mmps'
_LEAVES = {'bbox': 'bbox.list.element', 'embedding': 'embedding.list.element'}
_PAGE_BYTES = 1 << 30  # so that a page is a whole group and no row is cut in two


class ShardsChangedError(Exception):
    """Rows are gone that were there a moment ago: somebody deletes them. Look again."""


class ShardVersion(NamedTuple):
    """Tells the states of a shard apart: a deletion writes it anew under the same name."""

    name: str
    mtime_ns: int
    size: int


def shard_version(path: Path) -> ShardVersion:
    """State of a shard.

    Raises:
        FileNotFoundError: it was deleted.
    """
    stat = path.stat()
    return ShardVersion(path.name, stat.st_mtime_ns, stat.st_size)


def write_shard(
    path: Path, rows: pa.Table, coverage: Mapping[str, Coverage], *, model_id: str
) -> None:
    """Write a shard; one of that name is replaced in one step.

    Args:
        path: its file.
        rows: of :func:`mmps.gallery.gallery_schema`.
        coverage: of each source that has frames in it.
        model_id: of the model that made the embeddings.
    """
    sources = {source: part.to_json() for source, part in coverage.items()}
    about = json.dumps({'model_id': model_id, 'sources': sources}).encode()
    small = [name for name in rows.column_names if name not in LARGE_COLUMNS]
    leaves = {_LEAVES.get(name, name): name in small for name in rows.column_names}
    with whole_file(path) as file:
        pq.write_table(
            rows.replace_schema_metadata({_KEY: about}),
            file,
            row_group_size=ROWS_PER_GROUP,
            data_page_size=_PAGE_BYTES,
            compression={leaf: 'zstd' if packed else 'none' for leaf, packed in leaves.items()},
            use_dictionary=['source', 'camera'],
            write_statistics=[_LEAVES.get(name, name) for name in small],
        )


def read_shard(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of a shard.

    Args:
        path: its file.
        columns: names; None takes all.

    Raises:
        FileNotFoundError: it was deleted.
    """
    with pq.ParquetFile(path) as file:
        rows = file.read(columns=None if columns is None else list(columns))
    return rows.replace_schema_metadata(None)  # so that tables of all shards are of one schema


def read_about(path: Path) -> tuple[str, dict[str, Coverage]]:
    """The model's id and what is covered of each source, from the end of a shard's file.

    Raises:
        FileNotFoundError: it was deleted.
        ValueError: it is no shard; the message names it.
    """
    about = _about(path)
    return about['model_id'], {
        source: Coverage.from_json(part) for source, part in about['sources'].items()
    }


def _about(path: Path) -> dict[str, Any]:
    try:
        metadata = pq.read_schema(path).metadata or {}
        about: dict[str, Any] = json.loads(metadata[_KEY])
    except (pa.ArrowInvalid, KeyError) as error:
        raise ValueError(
            f'{path}: no shard of a gallery, or damaged ({error}). Remove it: the next '
            '`mmps index` makes up for what it covered.'
        ) from error
    return about
