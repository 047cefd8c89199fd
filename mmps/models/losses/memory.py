"""The two memories of online instance matching.

Shapes: L labelled persons, Q places in the queue, D embedding size, B rows of a step. All state
is in float32 buffers, so it is saved, resumed and moved with the model.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LookupTable(nn.Module):
    """Prototypes V of the labelled persons, one a row (OIM, CVPR 2017, Sec. 3.3).

    Args:
        num_persons: L.
        dim: D.

    Attributes:
        vectors: (L, D) float32 buffer; rows have norm 1, or are zero where the person has not been
            seen yet.
    """

    vectors: Tensor

    def __init__(self, num_persons: int, dim: int) -> None:
        super().__init__()
        if num_persons < 1:
            raise ValueError(
                f'num_persons={num_persons}: a lookup table needs at least one labelled person; '
                'set it to the num_persons of the training dataset.'
            )
        self.register_buffer('vectors', torch.zeros(num_persons, dim))

    @torch.no_grad()
    def update(self, embeddings: Tensor, pids: Tensor, keep: float | Tensor) -> None:
        """Mix rows into their prototypes: ``v <- normalise(keep v + (1 - keep) x)``.

        The result is that of taking the rows in order, one after another. Rows of different
        persons do not meet, so the n-th occurrences of all persons are handled together: the loop
        runs over occurrences, not over rows.

        Args:
            embeddings: (B, D), norm 1.
            pids: (B,) int64 in 0..L-1.
            keep: share of the old prototype that stays, a number or one a row (B,).
        """
        if pids.numel() == 0:
            return
        keep = torch.as_tensor(keep, dtype=torch.float32, device=pids.device).expand(len(pids))
        turn = _occurrence(pids)
        for n in range(int(turn.max()) + 1):
            rows = turn == n
            person, eta = pids[rows], keep[rows, None]
            mixed = eta * self.vectors[person] + (1 - eta) * embeddings[rows]
            self.vectors[person] = F.normalize(mixed)


class CircularQueue(nn.Module):
    """Embeddings U of persons without identity, first in, first out (OIM, CVPR 2017, Sec. 3.3).

    Args:
        size: Q; 0 for no queue.
        dim: D.

    Attributes:
        vectors: (Q, D) float32 buffer; zero rows where nothing was written yet.
        head: () int64 buffer, the place that is written next.
    """

    vectors: Tensor
    head: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer('vectors', torch.zeros(size, dim))
        self.register_buffer('head', torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, embeddings: Tensor) -> None:
        """Write rows (B, D) at the head, in order; of more than Q rows the last Q stay."""
        size, rows = len(self.vectors), len(embeddings)
        if size == 0 or rows == 0:
            return
        kept = embeddings[-size:]
        first = self.head + (rows - len(kept))
        places = (first + torch.arange(len(kept), device=first.device)) % size
        self.vectors[places] = kept.to(self.vectors.dtype)
        self.head.add_(rows).remainder_(size)


def _occurrence(pids: Tensor) -> Tensor:
    """How many earlier rows have the same pid, (B,) int64."""
    order = torch.argsort(pids, stable=True)
    place = torch.arange(len(pids), device=pids.device)
    ordered = pids[order]
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    first = torch.cummax(torch.where(starts, place, 0), dim=0).values
    turn = torch.empty_like(place)
    turn[order] = place - first
    return turn
