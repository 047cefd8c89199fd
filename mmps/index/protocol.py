"""What an index over a gallery can do, whatever library it is made of."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmps.gallery import Gallery

from .filters import Filters


class GalleryIndex(Protocol):
    """An index over the embeddings of a gallery; the shards are the truth, it can be made anew.

    Shapes: Q queries, D dimensions, k neighbours. All methods may be called from several threads.
    """

    def sync(self, gallery: Gallery) -> None:
        """Take in the shards that are new and let go of the rows that are gone.

        A gallery may be written to meanwhile: shards count as they are found, whole or not at all.

        Args:
            gallery: the one that the index is of.
        """

    def remove(self, row_ids: Iterable[int]) -> None:
        """Let go of rows at once, in what is stored, too; ids that it does not know pass.

        They come back with the next :meth:`sync` unless the gallery deleted them.

        Args:
            row_ids: keys of rows.
        """

    def search(
        self, embeddings: NDArray[np.float32], *, k: int, filters: Filters | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The rows most similar to each query.

        Args:
            embeddings: (Q, D), need not be of norm 1.
            k: how many, at least 1.
            filters: which rows count; None for all.

        Returns:
            Cosine similarities (Q, k) in descending order and the rows' ids (Q, k); where there
            are fewer rows than k, the rest is -inf and -1.

        Raises:
            ValueError: k is below 1, or the embeddings are not (Q, D), not finite or zero.
        """

    def __len__(self) -> int:
        """How many rows it has."""


def unit_rows(embeddings: NDArray[np.float32], embed_dim: int) -> NDArray[np.float32]:
    """Queries scaled to norm 1.

    Args:
        embeddings: (Q, D).
        embed_dim: D.

    Returns:
        (Q, D), contiguous.

    Raises:
        ValueError: another shape, or a row that is not finite or zero.
    """
    queries = np.asarray(embeddings, dtype=np.float32)
    if queries.ndim != 2 or queries.shape[1] != embed_dim:
        raise ValueError(
            f'query embeddings of shape {queries.shape}, but the gallery has {embed_dim} '
            'dimensions: embed the query with the model that the gallery was made with'
        )
    norms = np.linalg.norm(queries, axis=1, keepdims=True)
    if not (np.isfinite(norms) & (norms > 0)).all():
        raise ValueError('a query embedding is zero or not finite')
    return np.ascontiguousarray(queries / norms)


def nothing_found(queries: int, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The answer of :meth:`GalleryIndex.search` before anything is found, to be filled in.

    Args:
        queries: Q.
        k: neighbours of each.

    Returns:
        (Q, k) of -inf and (Q, k) of -1.

    Raises:
        ValueError: k is below 1.
    """
    if k < 1:
        raise ValueError(f'k must be at least 1: {k}')
    similarities = np.full((queries, k), -np.inf, dtype=np.float32)
    return similarities, np.full((queries, k), -1, dtype=np.int64)
