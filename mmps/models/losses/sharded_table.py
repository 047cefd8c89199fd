from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size
from torch import Tensor

from mmps.models.collectives import (
    gather_rows_with_gradients,
    largest_of_processes,
    sum_of_statistics,
)

from .memory import LookupTable, Share


class ShardedLookupTable(LookupTable):
    """A lookup table of which each process holds a part alone, for millions of persons.

    Each of N processes holds ``S = ceil(L / N)`` persons, in order: 4 S D bytes in place of 4 L D.
    Losses, gradients and updates are those of the whole table, and as many operations. The queue
    stays whole everywhere. The processes have to call every method together.

    A process compares the rows of all with its part of the memory. What it needs of the others are
    the sum over their columns of the softmax, for HEA the most similar of their prototypes, for
    SMR their largest similarity: numbers and vectors by row of the step. With R = N times the most
    rows that a process has, a step moves, beside what it moves with a whole table, through each
    process::

        R (8 D + 36) + 8 N    for R labelled rows: they with person and process, and their gradients
                              back; log-sum-exp and similarity, and their gradients
        P (8 D + 12) + 8 R    HEA, for these rows, of P persons
        4 R                   SMR, for R rows without identity

    bytes, whatever the sizes of table and queue.

    A ``state_dict`` is that of a :class:`LookupTable` with L rows, whatever the number of
    processes that wrote or read it. As MMEngine takes it in the first process alone, the parts
    must have been sent there before: :meth:`whole`, by which ``mmps.MemoryHook`` has the
    checkpoints of a run written. The first process then needs 4 L D bytes of the host's memory.
    Elsewhere a ``state_dict`` is an error, or, where the hook is at work, lacks the table.

    Args:
        num_persons: L.
        dim: D.

    Attributes:
        shape: (L, D).
        vectors: (S + 1, D) float32, this process's prototypes; the last row stays zero, where the
            persons of other processes are looked up. Not a buffer: DistributedDataParallel takes
            the buffers of all processes for equal and sends those of the first to the others.
        saved_whole: whether checkpoints are known to be written in :meth:`whole`.
    """

    saved_whole = False

    def _make_vectors(self) -> None:
        persons, dim = self.shape
        self._size = -(-persons // get_world_size())
        self._first = get_rank() * self._size
        # Persons that there are: the last parts may be smaller, or empty.
        self._persons = range(persons)[self._first : self._first + self._size]
        self.vectors = torch.zeros(self._size + 1, dim)
        self._whole: Tensor | None = None

    def _places(self, pids: Tensor) -> Tensor:
        """Rows of ``vectors`` where persons (B,) are looked up, (B,)."""
        places = pids - self._first
        return torch.where((places >= 0) & (places < self._size), places, self._size)

    def negative_log_likelihood(
        self, x: Tensor, pids: Tensor, queue: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor | None]:
        """See :meth:`LookupTable.negative_log_likelihood`."""
        ranks = torch.full_like(pids, get_rank())
        x, pids, ranks = gather_rows_with_gradients(x[: len(pids)], pids, ranks)
        prototypes = self.vectors[: len(self._persons)]
        # Each column of the queue, which all hold, counts in one process.
        share = queue.tensor_split(get_world_size())[get_rank()]
        similarities = x @ torch.cat([prototypes, share]).t() / temperature
        logsumexp = similarities.logsumexp(dim=1)
        own = (x * self.vectors[self._places(pids)]).sum(dim=1) / temperature
        largest = largest_of_processes(logsumexp)
        total, own = sum_of_statistics(torch.stack([(logsumexp - largest).exp(), own]))
        return (largest + total.log() - own)[ranks == get_rank()].sum(), None

    def prototypes(self, pids: Tensor) -> Tensor:
        """See :meth:`LookupTable.prototypes`."""
        return sum_of_statistics(super().prototypes(self._places(pids)))

    def nearest_other(self, x: Tensor, pids: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`LookupTable.nearest_other`."""
        here, prototypes = super().nearest_other(x, self._places(pids))
        nearest = largest_of_processes(here)
        # Of equal ones the first, as in the whole table.
        rank = get_rank()
        first = -largest_of_processes(torch.where(here == nearest, -rank, -get_world_size()))
        return nearest, sum_of_statistics(torch.where(first[:, None] == rank, prototypes, 0.0))

    def highest_similarity(self, x: Tensor) -> Tensor:
        """See :meth:`LookupTable.highest_similarity`."""
        return largest_of_processes(super().highest_similarity(x))

    def sum_of_filled(self) -> tuple[Tensor, Tensor]:
        """See :meth:`LookupTable.sum_of_filled`."""
        total, number = super().sum_of_filled()
        return sum_of_statistics(total), sum_of_statistics(number)

    @torch.no_grad()
    def update(self, x: Tensor, persons: Tensor, sizes: list[int], share: Share) -> Tensor:
        """See :meth:`LookupTable.update`; every process gives the rows of all.

        Those of other processes' persons are mixed into the last row, which is cleared again: their
        number, which only the device knows, does not matter.
        """
        places = self._places(persons)
        shares = super().update(x, places, sizes, share)
        self.vectors[-1].zero_()
        if isinstance(share, Tensor):
            return shares
        of_rows = torch.cat([places[:0], *(places[:size] for size in sizes)])
        return sum_of_statistics(torch.where(of_rows < self._size, shares, 0.0))

    @contextmanager
    def whole(self) -> Iterator[None]:
        """While it lasts, the first process has a ``state_dict``; all processes have to enter."""
        if get_rank() == 0:
            self._whole = torch.zeros(self.shape)
            for rank, rows in enumerate(self._whole.split(self._size)):
                part = self.vectors
                if rank > 0:
                    part = torch.empty_like(self.vectors)
                    dist.recv(part, src=rank)
                rows.copy_(part[: len(rows)])
        elif self._persons:
            dist.send(self.vectors, dst=0)
        try:
            yield
        finally:
            self._whole = None

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        if self._whole is not None:
            destination[f'{prefix}vectors'] = self._whole
        elif not self.saved_whole:
            raise RuntimeError(
                f'{prefix}vectors is spread over {get_world_size()} processes, and a state_dict '
                'needs it whole: train with mmps.MemoryHook, which sees to it for checkpoints, or '
                'let every process enter whole() of the table and the first one take the '
                'state_dict there.'
            )

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        name = f'{prefix}vectors'
        if name not in state_dict:
            missing_keys.append(name)
        elif state_dict[name].shape != self.shape:
            error_msgs.append(
                f'size mismatch for {name}: {tuple(state_dict[name].shape)} in the checkpoint, '
                f'{tuple(self.shape)} in the model.'
            )
        else:
            persons = self._persons
            self.vectors.zero_()[: len(persons)] = state_dict[name][persons.start : persons.stop]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> 'ShardedLookupTable':
        super()._apply(fn, recurse)
        self.vectors = fn(self.vectors)
        return self


def lookup_table(num_persons: int, dim: int, *, sharded: bool) -> LookupTable:
    """A lookup table, spread over the processes if asked for and if there are several.

    They must have found each other (``init_process_group``) by now; MMEngine's runner sees to it.

    Args:
        num_persons: L.
        dim: D.
        sharded: whether to spread it.
    """
    cls = ShardedLookupTable if sharded and get_world_size() > 1 else LookupTable
    return cls(num_persons, dim)
