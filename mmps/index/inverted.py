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
"""Recall@10 that the number of lists to visit is chosen for, on rows of the gallery itself as
queries; for others 0.99 shall hold."""

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
        # The rarer the rows that may be found, the more lists for as many of them.
        lists = self._index.nlist
        enough = max(self.visit * len(self.slots) / count, 4 * lists * wanted / count)
        for visit in (min(math.ceil(enough), lists), lists):
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
    """The smallest number of lists that reaches the recall, in steps of a fifth."""
    rows = np.random.default_rng(0).choice(slots.alive(), min(500, len(slots)), replace=False)
    queries = slots.embeddings(rows)
    # A row finds itself at once, which must not count.
    exact = exact_neighbours(slots, queries, k=_NEIGHBOURS + 1)
    truth = [set(found) - {row, -1} for row, found in zip(rows, exact, strict=True)]
    visit = min(4, index.nlist)
    while visit < index.nlist:
        parameters = faiss.SearchParametersIVF(nprobe=visit)
        _, found = index.search(queries, _candidates(_NEIGHBOURS), params=parameters)
        hits = sum(len(want.intersection(got)) for want, got in zip(truth, found, strict=True))
        if hits >= TARGET_RECALL * sum(map(len, truth)):
            break
        visit = min(index.nlist, max(visit + 1, int(1.2 * visit)))
    return visit


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
