"""Which rows of a gallery are meant: of some sources, of a track, of one person."""

import os
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .schema import to_arrays
from .sources import normalise
from .store import Gallery


def sources_at(gallery: Gallery, paths: Iterable[str]) -> list[str]:
    """Sources of a gallery by their paths, or by that of a folder that they are in.

    Raises:
        ValueError: the gallery has none at a path.
    """
    there = sorted(gallery.coverage())
    found: dict[str, None] = {}
    for path in paths:
        whole = normalise(path)
        folder = os.path.join(whole, '')
        hits = [s for s in there if s in (path, whole) or s.startswith(folder)]
        if not hits:
            raise ValueError(
                f'{gallery.root} has no source {path}; it has, for one, {"".join(there[:1])}'
            )
        found |= dict.fromkeys(hits)
    return list(found)


def rows_of_sources(gallery: Gallery, sources: Iterable[str]) -> list[int]:
    """Ids of all rows of these sources."""
    rows = gallery.metadata()
    wanted = pc.is_in(rows['source'], pa.array(list(sources), pa.string()))
    ids: list[int] = rows.filter(wanted)['row_id'].to_pylist()
    return ids


def rows_of_track(gallery: Gallery, track: int) -> list[int]:
    """Ids of the rows of a track.

    Raises:
        ValueError: there is no such track.
    """
    rows = gallery.metadata()
    ids: list[int] = rows.filter(pc.equal(rows['track'], track))['row_id'].to_pylist()
    if track < 0 or not ids:
        raise ValueError(f'{gallery.root} has no track {track}')
    return ids


def rows_like(gallery: Gallery, row_id: int, *, min_similarity: float) -> dict[int, float]:
    """Rows that look like one of them, compared with every row of the gallery.

    Args:
        gallery: the gallery.
        row_id: one row of the person.
        min_similarity: least cosine of the embeddings.

    Returns:
        Id and similarity of each, by descending similarity; ``row_id`` is among them.

    Raises:
        KeyError: there is no such row.
    """
    [query] = to_arrays(gallery.rows([row_id], ['embedding'])['embedding'])
    found: dict[int, float] = {row_id: 1.0}
    for shard in gallery.shards():
        rows = gallery.read(shard, ['row_id', 'embedding'])
        similarities = to_arrays(rows['embedding']) @ query
        near = np.flatnonzero(similarities >= min_similarity)
        ids = rows['row_id'].to_numpy()[near].tolist()
        found |= dict(zip(ids, similarities[near].tolist(), strict=True))
    return dict(sorted(found.items(), key=lambda item: -item[1]))
