"""Galleries of generated persons, and what a search of them must find."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from mmps.gallery import Coverage, Gallery, gallery_schema, row_id, to_arrays
from mmps.index import Filters

DIM = 16


def new_gallery(root: Path) -> Gallery:
    return Gallery.create(root, model_id='aa', embed_dim=DIM, model={})


def units(rng: np.random.Generator, count: int) -> np.ndarray:
    x = rng.standard_normal((count, DIM), dtype=np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def add_video(
    gallery: Gallery,
    source: str,
    *,
    frames: range = range(40),
    persons: int = 5,
    camera: str = '',
    time: float = float('nan'),
    noise: float = 1,
) -> Path:
    """A shard of a video with so many persons in every frame, a second apart.

    ``noise`` is by how much the embeddings of a person differ from frame to frame.
    """
    rng = np.random.default_rng([*source.encode(), frames.start])
    frame = np.repeat(np.arange(frames.start, frames.stop, dtype=np.int32), persons)
    number = np.tile(np.arange(persons), len(frames))
    count = len(frame)
    looks = units(np.random.default_rng([*source.encode()]), persons)[number]
    embedding = looks + noise * units(rng, count)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    bbox = np.stack([20.0 * number, 0 * number, 20.0 * number + 15, 0 * number + 40], axis=1)
    columns = dict(
        row_id=[row_id(source, int(f), int(n)) for f, n in zip(frame, number, strict=True)],
        source=[source] * count,
        frame=frame,
        time=time + frame,
        camera=[camera] * count,
        image_width=[200] * count,
        image_height=[100] * count,
        bbox=_lists(bbox),
        score=rng.uniform(0.5, 1, count).astype('f4'),
        embedding=_lists(embedding),
        thumbnail=[b''] * count,
    )
    shard = gallery.append(
        pa.table(columns, schema=gallery_schema(DIM)), {source: Coverage(frozenset(frames))}
    )
    assert shard is not None
    return shard


def all_rows(gallery: Gallery) -> pa.Table:
    return pa.concat_tables([gallery.read(shard) for shard in gallery.shards()])


def expected(
    gallery: Gallery, queries: np.ndarray, *, k: int, filters: Filters | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What :meth:`GalleryIndex.search` must return, found the plain way."""
    rows = all_rows(gallery)
    fits = np.array([_fits(row, filters) for row in rows.drop(['embedding']).to_pylist()], bool)
    ids = rows['row_id'].to_numpy()[fits]
    similarities = queries @ to_arrays(rows['embedding'])[fits].T
    order = np.argsort(-similarities, axis=1)[:, :k]
    missing = [(0, 0), (0, k - order.shape[1])]
    return (
        np.pad(np.take_along_axis(similarities, order, 1), missing, constant_values=-np.inf),
        np.pad(ids[order], missing, constant_values=-1),
    )


def _fits(row: dict, filters: Filters | None) -> bool:
    if filters is None:
        return True
    return (
        (filters.cameras is None or row['camera'] in filters.cameras)
        and (filters.sources is None or row['source'] in filters.sources)
        and (filters.time is None or filters.time[0] <= row['time'] <= filters.time[1])
    )


def _lists(values: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.astype('f4').ravel()), values.shape[1])
