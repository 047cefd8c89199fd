"""Exact search: a query is compared with every row, the embeddings are in memory."""

import faiss
import numpy as np
from numpy.typing import NDArray

from .slots import Slots, selector

_GPU_MAX_K = 2048  # neighbours that faiss finds on a GPU


class ExactRows:
    """The rows of slots, searched exactly; on the GPUs where faiss has been built for them.

    Shapes: Q queries, D dimensions, S slots.

    Args:
        slots: the rows; those that are there are taken in.
        embed_dim: D.
    """

    kind = 'exact'

    def __init__(self, slots: Slots, embed_dim: int) -> None:
        self.slots = slots
        self._index = faiss.IndexIDMap(faiss.IndexFlatIP(embed_dim))
        self._gpu: faiss.Index | None = None
        self.add(slots.alive())

    def add(self, slots: NDArray[np.int64]) -> None:
        """Take in rows of :attr:`slots`."""
        for part in np.array_split(slots, len(slots) // 65536 + 1):
            if len(part):
                self._index.add_with_ids(self.slots.embeddings(part), part)
        self._gpu = None

    def remove(self, slots: NDArray[np.int64]) -> None:
        """Let go of rows."""
        self._index.remove_ids(slots)
        self._gpu = None

    def search(
        self, queries: NDArray[np.float32], k: int, selected: NDArray[np.bool_] | None
    ) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """The most similar rows.

        Args:
            queries: (Q, D) of norm 1.
            k: how many; at most as many as are selected.
            selected: (S,), the slots that may be found; None for all.

        Returns:
            For each query similarities, descending, and slots.
        """
        # A GPU's index takes no selector.
        if selected is None and k <= _GPU_MAX_K and faiss.get_num_gpus():
            if self._gpu is None:
                self._gpu = faiss.index_cpu_to_all_gpus(faiss.downcast_index(self._index.index))
            similarities, places = self._gpu.search(queries, k)
            slots = faiss.vector_to_array(self._index.id_map)[places]
        else:
            parameters = faiss.SearchParameters(sel=selector(selected))
            similarities, slots = self._index.search(queries, k, params=parameters)
        # -1 in place of rows that were not taken in yet.
        return [(s[i >= 0], i[i >= 0]) for s, i in zip(similarities, slots, strict=True)]
