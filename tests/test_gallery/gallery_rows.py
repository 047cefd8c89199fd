"""Galleries with persons that are drawn by chance, always the same for the same seed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from mmps.gallery import Coverage, Gallery, make_rows

DIM = 8


def new_gallery(root: Path, *, model_id: str = 'aa') -> Gallery:
    model = {'model': 'seqnet_r50_prw', 'weights': 'epoch_20.pth'}
    return Gallery.create(root, model_id=model_id, embed_dim=DIM, model=model)


def random_rows(
    source: str, frame: int, count: int, *, seed: int = 0, **fields: object
) -> pa.Table:
    """Persons of a frame of 96 x 64 pixels; embeddings of norm 1."""
    rng = np.random.default_rng([seed, frame, *source.encode()])
    corners = rng.uniform(0, (48, 30), (count, 2))
    embeddings = rng.normal(size=(count, DIM))
    return make_rows(
        source,
        frame,
        image=rng.integers(0, 255, (64, 96, 3), dtype=np.uint8),
        bboxes=np.hstack([corners, corners + np.array([20, 32])]).astype(np.float32),
        scores=rng.uniform(0.5, 1, count).astype(np.float32),
        embeddings=(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype('f4'),
        **fields,
    )


def frames(*numbers: int) -> Coverage:
    return Coverage(frozenset(numbers))


def add_frames(gallery: Gallery, source: str, numbers: Sequence[int], *, persons: int = 2) -> Path:
    """One shard of these frames of a source, so many persons in each."""
    tables = [random_rows(source, frame, persons) for frame in numbers]
    shard = gallery.append(pa.concat_tables(tables), {source: frames(*numbers)})
    assert shard is not None
    return shard
