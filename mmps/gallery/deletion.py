"""Deleting persons from a gallery for good, and proving it.

What is to go is written down first (``deletion.json``), so that a deletion that is killed can be
brought to its end, by whoever deletes next.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mmps.files import whole_file

from .byte_search import PieceFinder, piece_of_embedding, piece_of_thumbnail
from .coverage import Coverage
from .schema import to_arrays
from .shards import read_about, read_shard, write_shard

JOURNAL = 'deletion.json'


@dataclass(frozen=True)
class DeletionReport:
    """What was deleted, and how it was made sure of.

    Attributes:
        row_ids: rows that are gone; they had been there when the deletion began.
        sources: sources that are gone as a whole, with the note that they were searched.
        shards_rewritten: how many shards were written anew without the rows,
        shards_removed: and how many had nothing else.
        rows_read: how many rows the shards have now; none of them is one that was to go.
        files_searched: in so many files of the gallery, all there are, its index among them, the
        bytes_searched: bytes of the deleted embeddings and thumbnails were looked for.
        left_in: files in which some were found. Empty, unless an index was not told.
        copies: rows that stay and have the very same embedding or thumbnail as one that is gone,
            such as those of a copy of an image; what they share cannot be looked for.
    """

    row_ids: list[int] = field(repr=False)
    sources: list[str]
    shards_rewritten: int
    shards_removed: int
    rows_read: int
    files_searched: int
    bytes_searched: int
    left_in: list[str]
    copies: list[int] = field(repr=False)


@dataclass(frozen=True)
class _Plan:
    """What is to be deleted, as it stands in the journal."""

    row_ids: set[int]
    sources: set[str]
    pieces: set[bytes]

    @classmethod
    def load(cls, path: Path) -> '_Plan':
        try:
            plan = json.loads(path.read_bytes())
        except FileNotFoundError:
            return cls(set(), set(), set())
        pieces = {bytes.fromhex(piece) for piece in plan['pieces']}
        return cls(set(plan['row_ids']), set(plan['sources']), pieces)

    def save(self, path: Path) -> None:
        pieces = [piece.hex() for piece in sorted(self.pieces)]
        plan = dict(row_ids=sorted(self.row_ids), sources=sorted(self.sources), pieces=pieces)
        with whole_file(path) as file:
            file.write(json.dumps(plan).encode())


def delete(
    root: Path,
    *,
    row_ids: Iterable[int],
    sources: Iterable[str],
    forget: Callable[[list[int], list[str]], None],
) -> DeletionReport:
    """Delete rows and sources; nobody else may write meanwhile.

    What an earlier deletion has left undone is done, too.

    Args:
        root: folder of the gallery.
        row_ids: rows to delete.
        sources: sources to delete, with the note that they were searched.
        forget: called with the ids of all rows and the sources that they are of, once the shards
            are without them, to remove them elsewhere.

    Raises:
        KeyError: rows or sources that are not there; nothing is deleted then.
    """
    journal = root / JOURNAL
    plan = _Plan.load(journal)
    missing_ids, missing_sources = set(row_ids) - plan.row_ids, set(sources) - plan.sources
    plan.row_ids.update(missing_ids)
    plan.sources.update(missing_sources)
    affected: set[str] = set(plan.sources)
    touched: list[Path] = []
    for shard in _shards(root):
        rows = read_shard(shard, ['row_id', 'source'])
        going = rows.filter(_going(rows, plan))
        covered = plan.sources & _about(shard).keys()
        if going.num_rows or covered:
            touched.append(shard)
            affected.update(going['source'].to_pylist())
            missing_ids.difference_update(going['row_id'].to_pylist())
            missing_sources -= covered
    if missing_ids or missing_sources:
        raise KeyError(
            f'not in the gallery: {sorted(missing_ids)[:3]} {sorted(missing_sources)[:3]}'
        )
    for shard in touched:
        rows = read_shard(shard, ['row_id', 'source', 'embedding', 'thumbnail'])
        going = rows.filter(_going(rows, plan))
        plan.row_ids.update(going['row_id'].to_pylist())
        plan.pieces.update(*_pieces(going))
    plan.save(journal)

    removed = sum(_without(shard, plan) for shard in touched)
    _sync_folder(root / 'shards')
    forget(sorted(plan.row_ids), sorted(affected))
    report = _prove(root, plan, rewritten=len(touched) - removed, removed=removed)
    journal.unlink()
    return report


def is_pending(root: Path) -> bool:
    """Whether a deletion was killed before its end."""
    return (root / JOURNAL).exists()


def _shards(root: Path) -> list[Path]:
    return sorted((root / 'shards').glob('*.parquet'))


def _about(shard: Path) -> dict[str, Coverage]:
    return read_about(shard)[1]


def _going(rows: pa.Table, plan: _Plan) -> pa.ChunkedArray:
    """Which rows are to go, (N,) of bool."""
    by_id = pc.is_in(rows['row_id'], pa.array(plan.row_ids, pa.int64()))
    return pc.or_(by_id, pc.is_in(rows['source'], pa.array(plan.sources, pa.string())))


def _pieces(rows: pa.Table) -> Iterator[tuple[bytes, bytes]]:
    """What to look for of each row."""
    thumbnails = rows['thumbnail'].to_pylist()
    for embedding, thumbnail in zip(to_arrays(rows['embedding']), thumbnails, strict=True):
        yield piece_of_embedding(embedding), piece_of_thumbnail(thumbnail)


def _without(shard: Path, plan: _Plan) -> bool:
    """Write a shard anew without what is to go; True if nothing was left and it was removed."""
    model_id, coverage = read_about(shard)
    coverage = {source: part for source, part in coverage.items() if source not in plan.sources}
    if not coverage:
        shard.unlink()
        return True
    rows = read_shard(shard)
    write_shard(shard, rows.filter(pc.invert(_going(rows, plan))), coverage, model_id=model_id)
    return False


def _sync_folder(folder: Path) -> None:
    """Make sure that no loss of power brings back what was replaced or removed."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _prove(root: Path, plan: _Plan, *, rewritten: int, removed: int) -> DeletionReport:
    """Read everything again, and look for what is gone."""
    rows_read = 0
    for shard in _shards(root):
        rows = read_shard(shard, ['row_id', 'source'])
        rows_read += rows.num_rows
        assert not pc.any(_going(rows, plan)).as_py(), shard
        assert not plan.sources & _about(shard).keys(), shard

    finder = PieceFinder(plan.pieces)
    found: dict[Path, set[bytes]] = {}
    searched = 0
    for path in sorted(root.rglob('*')):
        if path.is_file() and path != root / JOURNAL:
            with suppress(FileNotFoundError):  # an index was tidied up
                searched += path.stat().st_size
                found[path] = finder.find(path)
    shared: set[bytes] = set()
    copies: list[int] = []
    for shard in _shards(root):
        if found.get(shard):
            rows = read_shard(shard, ['row_id', 'embedding', 'thumbnail'])
            for row, pieces in zip(rows['row_id'].to_pylist(), _pieces(rows), strict=True):
                if same := plan.pieces.intersection(pieces):
                    copies.append(row)
                    shared |= same
    return DeletionReport(
        row_ids=sorted(plan.row_ids),
        sources=sorted(plan.sources),
        shards_rewritten=rewritten,
        shards_removed=removed,
        rows_read=rows_read,
        files_searched=len(found),
        bytes_searched=searched,
        left_in=[str(path) for path, pieces in found.items() if pieces - shared],
        copies=sorted(copies),
    )
