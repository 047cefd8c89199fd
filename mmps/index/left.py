"""Whether an index still has rows that were deleted."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from mmps.gallery import Gallery

from .protocol import GalleryIndex

_BATCH = 256
_NEIGHBOURS = 10


def what_is_left(
    gallery: Gallery,
    index: GalleryIndex,
    embeddings: NDArray[np.float32],
    row_ids: Collection[int],
) -> list[str]:
    """What an index still has of rows that are deleted, each in a few words.

    It must have as many rows as the gallery, and give none of those as the answer to its own
    embedding.

    Args:
        gallery: what the index is of, without the rows.
        index: the index, brought up to date.
        embeddings: (N, D) of the rows, or of some of them.
        row_ids: the rows.
    """
    rows = gallery.metadata().num_rows
    count = [f'{len(index)} rows in an index of {rows}'] if len(index) != rows else []
    found: set[int] = set()
    for start in range(0, len(embeddings), _BATCH):
        _, ids = index.search(embeddings[start : start + _BATCH], k=_NEIGHBOURS)
        found.update(ids.ravel().tolist())
    return count + [f'row {row} in an index' for row in sorted(found.intersection(row_ids))]
