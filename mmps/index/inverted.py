"""Search among many rows: an inverted file of 8-bit codes, similarities from the embeddings.

Rows lie in lists around centres (k-means); a search visits the lists next to the query. In memory a
row takes a byte for each dimension (scalar quantisation) and eight for its slot. What the codes
find are candidates: their similarities are computed from the embeddings, which stay on disk.
"""

import math
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from .slots import Slots, selector

TARGET_RECALL = 0.995
"""Recall@10 that the number of lists to visit is chosen for, with rows of the gallery as queries;
for others 0.99 shall hold."""

_ROWS_PER_CENTRE = 50  # of a sample; k-means wants at least 39
_NEIGHBOURS = 10
_BATCH = 65536
# Codes to compare, from which on to start threads for one query. Starting them takes little only
# where the cores have nothing else to do.
_WORTH_THREADS = 100_000


class InvertedRows:
    """The rows of slots in an inverted file; make one by :meth:`build` or :meth:`load`.

    Shapes: Q queries, D dimensions, S slots.

    Attributes:
        slots: the rows.
        visit: how many lists a search of all rows visits.
        built: how many rows the centres were made for.
    """

    kind = 'ivf'

    def __init__(
        self, slots: Slots, index: faiss.IndexIVFScalarQuantizer, *, visit: int, built: int
    ) -> None:
        self.slots = slots
        self.visit = visit
        self.built = built
        self._index = index

    @classmethod
    def build(cls, slots: Slots, embed_dim: int) -> 'InvertedRows':
        """Make the lists and take in the rows that are there, at least one.

        Args:
            slots: the rows.
            embed_dim: D.
        """
        rows = slots.alive()
        # Centres and rows to a centre both grow with the root of the number of rows.
        lists = max(1, min(int(4 * math.sqrt(len(rows))), len(rows) // _ROWS_PER_CENTRE))
        index = faiss.index_factory(embed_dim, f'IVF{lists},SQ8', faiss.METRIC_INNER_PRODUCT)
        index.cp.niter = 10  # of 25; more hardly moves the centres
        sample = np.random.default_rng(0).choice(
            rows, min(len(rows), lists * _ROWS_PER_CENTRE), replace=False
        )
        index.train(slots.embeddings(sample))
        new = cls(slots, index, visit=lists, built=len(rows))
        new.add(rows)
        new.visit = _lists_to_visit(index, slots)
        return new

    @classmethod
    def load(cls, path: Path, slots: Slots, *, visit: int, built: int) -> 'InvertedRows':
        """Take up what :meth:`save` has written.

        Args:
            path: the file.
            slots: the rows in it, with the same numbers.
            visit: as it was.
            built: as it was.

        Raises:
            RuntimeError: there is no such file, or it is damaged.
        """
        return cls(slots, faiss.read_index(str(path)), visit=visit, built=built)

    def save(self, path: Path) -> None:
        """Write the lists, not the embeddings, to a file."""
        faiss.write_index(self._index, str(path))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, slots: NDArray[np.int64]) -> None:
        """Take in rows of :attr:`slots`."""
        for part in np.array_split(slots, len(slots) // _BATCH + 1):
            if len(part):
                self._index.add_with_ids(self.slots.embeddings(part), part)

    def remove(self, slots: NDArray[np.int64]) -> None:
        """Let go of rows."""
        self._index.remove_ids(slots)

    def search(
        self, queries: NDArray[np.float32], k: int, selected: NDArray[np.bool_] | None
    ) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """As :meth:`mmps.index.exact.ExactRows.search`, of which it misses a few."""
        count = len(self.slots) if selected is None else int(np.count_nonzero(selected))
        wanted = min(_candidates(k), count)
        lists = self._index.nlist
        visit = max(self.visit, math.ceil(4 * lists * wanted / count))
        # Which lists hold the most similar of the rows that fit a filter is another matter: those
        # of other cameras, say, are far from the query. All are visited, skipping takes little.
        first = lists if selected is not None else min(visit, lists)
        for visit in (first, lists):
            # 1: the lists of one query over the cores; 0: a query to each core.
            much = visit / lists * len(self.slots) > _WORTH_THREADS
            self._index.parallel_mode = int(len(queries) == 1 and much)
            parameters = faiss.SearchParametersIVF(nprobe=visit, sel=selector(selected))
            _, found = self._index.search(queries, wanted, params=parameters)
            if (found[:, k - 1] >= 0).all():
                break
        results = []
        for query, slots in zip(queries, found, strict=True):
            slots = slots[slots >= 0]
            similarities = self.slots.embeddings(slots) @ query
            order = np.argsort(-similarities, kind='stable')[:k]
            results.append((similarities[order], slots[order]))
        return results


def _candidates(k: int) -> int:
    """How many rows to compute anew for k neighbours; 8 bits seldom move a row further."""
    return max(4 * k, 40)


def _lists_to_visit(index: faiss.IndexIVFScalarQuantizer, slots: Slots) -> int:
    """The smallest number of lists in which that share of the nearest neighbours lies."""
    rows = np.random.default_rng(0).choice(slots.alive(), min(1000, len(slots)), replace=False)
    queries = slots.embeddings(rows)
    found = exact_neighbours(slots, queries, k=_NEIGHBOURS + 1)
    # A row finds itself first, which must not count.
    query, place = np.nonzero((found != rows[:, None]) & (found >= 0))
    if len(query) == 0:
        return 1
    lists = index.quantizer.search(slots.embeddings(found[query, place]), 1)[1][:, 0]
    _, in_order = index.quantizer.search(queries, index.nlist)
    rank = np.argsort(in_order, axis=1)[query, lists]
    return int(np.quantile(rank, TARGET_RECALL, method='higher')) + 1


def exact_neighbours(slots: Slots, queries: NDArray[np.float32], *, k: int) -> NDArray[np.int64]:
    """Slots of the rows most similar to each query, by comparing with every row on disk.

    Args:
        slots: the rows.
        queries: (Q, D).
        k: how many.

    Returns:
        (Q, k), the most similar first; -1 where there are fewer rows.
    """
    rows = slots.alive()
    best = np.full((len(queries), k), -np.inf, dtype=np.float32)
    found = np.full((len(queries), k), -1, dtype=np.int64)
    for part in np.array_split(rows, len(rows) // _BATCH + 1):
        similarities, places = faiss.knn(
            queries, slots.embeddings(part), k, faiss.METRIC_INNER_PRODUCT
        )
        best = np.concatenate([best, similarities], axis=1)
        found = np.concatenate([found, np.where(places < 0, -1, part[places])], axis=1)
        order = np.argsort(-best, axis=1, kind='stable')[:, :k]
        best = np.take_along_axis(best, order, axis=1)
        found = np.take_along_axis(found, order, axis=1)
    return found
