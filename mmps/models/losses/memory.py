"""The memories of online instance matching.

Shapes: L labelled persons, Q places in the queue, D embedding size, B rows of a step. All state
is in float32 buffers, so it is saved, resumed and moved with the model.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Keep = float | Tensor | Callable[[Tensor, Tensor], Tensor]

# Below this norm a mixture of two unit vectors has no direction worth the name.
_SMALLEST_NORM = 1e-6


class LookupTable(nn.Module):
    """Prototypes V of the labelled persons, one a row (OIM, CVPR 2017, Sec. 3.3).

    Args:
        num_persons: L.
        dim: D.

    Attributes:
        shape: (L, D).
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
        self.shape = torch.Size((num_persons, dim))
        self._make_vectors()

    def _make_vectors(self) -> None:
        self.register_buffer('vectors', torch.zeros(self.shape))

    def negative_log_likelihood(
        self, x: Tensor, pids: Tensor, queue: Tensor, temperature: float
    ) -> Tensor:
        """Sum over labelled rows of ``-log softmax([V; U] x / temperature)[y]`` (eq. 3 to 6).

        Args:
            x: (B, D), norm 1.
            pids: (B,) int64 in 0..L-1, or -1 for rows that are left out.
            queue: (Q, D), U.
            temperature: of the softmax.

        Returns:
            Scalar, of the rows of this process.
        """
        similarities = x @ torch.cat([self.vectors, queue]).t() / temperature
        return F.cross_entropy(similarities, pids, ignore_index=-1, reduction='sum')

    def prototypes(self, pids: Tensor) -> Tensor:
        """The rows (B, D) of persons (B,), zero where not filled."""
        return self.vectors[pids]

    def nearest_other(self, x: Tensor, pids: Tensor) -> tuple[Tensor, Tensor]:
        """The filled prototype most similar to each row, other than that of the row's person.

        Args:
            x: (B, D).
            pids: (B,) int64 in 0..L-1.

        Returns:
            Similarities (B,) and prototypes (B, D); -inf and zero where nobody else has one.
        """
        similarities = (x @ self.vectors.t()).masked_fill(~filled(self.vectors), -torch.inf)
        similarities.scatter_(1, pids[:, None], -torch.inf)
        nearest, q = similarities.max(dim=1)
        return nearest, torch.where(nearest[:, None] > -torch.inf, self.vectors[q], 0.0)

    def highest_similarity(self, x: Tensor) -> Tensor:
        """``max(0, max_l v_l . x)`` of each row (B, D), (B,)."""
        return highest_similarity(x, self.vectors)

    def sum_of_filled(self) -> tuple[Tensor, Tensor]:
        """See :func:`sum_of_filled`."""
        return sum_of_filled(self.vectors)

    @torch.no_grad()
    def update(self, embeddings: Tensor, pids: Tensor, keep: Keep) -> Tensor:
        """Mix rows into their prototypes: ``v <- normalise(keep v + (1 - keep) x)``.

        The result is that of taking the rows in order, one after another. Rows of different
        persons do not meet, so the n-th occurrences of all persons are handled together: the loop
        runs over occurrences, not over rows. Where v and x cancel out, v stays.

        Args:
            embeddings: (B, D), norm 1.
            pids: (B,) int64 in 0..L-1.
            keep: share of the old prototype that stays: a number, one a row (B,), or a function of
                row indices (n,) and their prototypes as they stand (n, D) that returns it (n,),
                the last two in float64.

        Returns:
            (B,) float64, the shares that were used.
        """
        shares = torch.zeros(len(pids), dtype=torch.float64, device=pids.device)
        if not callable(keep):
            shares += keep
        persons, places = pids.unique(return_inverse=True)
        # Every occurrence builds on the one before: float64 until the last one, so that errors do
        # not add up (HEA multiplies them by 1 / temperature each time).
        vectors, x = self.vectors[persons].double(), embeddings.double()
        for rows in _rounds(places):
            old = vectors[places[rows]]
            if callable(keep):
                shares[rows] = keep(rows, old)
            share = shares[rows, None]
            mixed = share * old + (1 - share) * x[rows]
            lost = mixed.norm(dim=1, keepdim=True) < _SMALLEST_NORM
            vectors[places[rows]] = torch.where(lost, old, F.normalize(mixed))
        self.vectors[persons] = vectors.to(self.vectors.dtype)
        return shares


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
    def push(self, embeddings: Tensor) -> int:
        """Write rows (B, D) at the head, in order; of more than Q rows the last Q stay.

        Returns:
            How many entries were written.
        """
        size, rows = len(self.vectors), len(embeddings)
        if size == 0 or rows == 0:
            return 0
        kept = embeddings[-size:]
        first = self.head + (rows - len(kept))
        places = (first + torch.arange(len(kept), device=first.device)) % size
        self.vectors[places] = kept.to(self.vectors.dtype)
        self.head.add_(rows).remainder_(size)
        return len(kept)


def filled(vectors: Tensor) -> Tensor:
    """Which rows (N, D) of a memory have been written, (N,) bool."""
    return vectors.any(dim=1)


def highest_similarity(x: Tensor, vectors: Tensor) -> Tensor:
    """``max(0, max_n v_n . x)`` of each row (B, D) with a memory (N, D), (B,)."""
    # A zero row is the 0 of max(0, .), as unfilled ones are.
    zero = vectors.new_zeros(1, vectors.shape[1])
    return (x @ torch.cat([vectors, zero]).t()).amax(dim=1)


def sum_of_filled(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Sum (D,) of the filled rows of a memory (N, D), and their number, () int64."""
    return vectors.sum(dim=0), filled(vectors).sum()


def mean_cosine(total: Tensor, n: Tensor) -> Tensor:
    """Mean cosine over all pairs of n vectors of norm 1 (OIMNet++, Fig. 5), in O(n D).

    The squared norm of their sum is n plus twice the sum over pairs.

    Args:
        total: (D,), their sum.
        n: () int64; both as :func:`sum_of_filled` gives them.

    Returns:
        Scalar; NaN with fewer than two.
    """
    mean = (total.square().sum() - n) / (n * (n - 1))
    return torch.where(n > 1, mean, torch.nan)


def _rounds(pids: Tensor) -> list[Tensor]:
    """Split rows by how many earlier rows have the same pid; ascending row indices a round."""
    if len(pids) == 0:
        return []
    turn = _occurrence(pids)
    # One transfer to the host a step.
    sizes = torch.bincount(turn).tolist()
    return list(torch.argsort(turn, stable=True).split(sizes))


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
