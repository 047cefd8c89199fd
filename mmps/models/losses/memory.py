"""The memories of online instance matching.

Shapes: L labelled persons, Q places in the queue, D embedding size, B rows of a step. All state
is in float32 buffers, so it is saved, resumed and moved with the model.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Share = Tensor | Callable[[int, Tensor, Tensor], Tensor]

# What is added of a prototype to its mixture with a row: nothing in float32, but where the row is
# its opposite and both count half, it is what is left.
_STAYS = 1e-7


def _ratio(share: Tensor) -> Tensor:
    """What a row counts for 1 of its prototype; the sum of both is normalised anyway."""
    return share / (1 + _STAYS - share)


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
                'set it to the num_persons of the training dataset, or to 1 if nobody there has an '
                'identity.'
            )
        self.shape = torch.Size((num_persons, dim))
        self._make_vectors()

    def _make_vectors(self) -> None:
        self.register_buffer('vectors', torch.zeros(self.shape))

    def negative_log_likelihood(
        self, x: Tensor, pids: Tensor, queue: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor | None]:
        """Sum over labelled rows of ``-log softmax([V; U] x / temperature)[y]`` (eq. 3 to 6).

        Args:
            x: (N + M, D), norm 1, labelled rows first.
            pids: (N,) int64 in 0..L-1, of the labelled rows.
            queue: (Q, D), U.
            temperature: of the softmax.

        Returns:
            Scalar, of the rows of this process, and ``[V; U] x / temperature`` (M, L + Q) of the
            other rows, or None where no process has it.
        """
        similarities = (x / temperature) @ torch.cat([self.vectors, queue]).t()
        labelled, others = similarities.tensor_split([len(pids)])
        return F.cross_entropy(labelled, pids, reduction='sum'), others

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
        similarities = (x @ self.vectors.t()).masked_fill_(~filled(self.vectors), -torch.inf)
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
    def update(self, x: Tensor, persons: Tensor, sizes: list[int], share: Share) -> Tensor:
        """Mix rows into their prototypes: ``v <- normalise((1 - share) v + share x)``.

        The result is that of taking the rows in batch order, one after another. Where v and x
        cancel out, v stays.

        Args:
            x: (N, D), norm 1, in rounds; see :class:`~mmps.models.losses.Step`.
            persons: (P,) int64 in 0..L-1.
            sizes: of the rounds.
            share: how much each row counts (N,), or a function that returns it (n,) for a round
                and is given its number, from 0, its rows (n, D) and their prototypes as they stand
                (n, D), both in float64.

        Returns:
            (N,), the shares that were used.
        """
        vectors = self.vectors.index_select(0, persons)
        if isinstance(share, Tensor):
            shares, ratios = share, _ratio(share)
        else:
            # Shares that depend on the prototypes multiply the errors of one round in the next, HEA
            # by 1 / temperature.
            vectors, x = vectors.double(), x.double()
            shares = ratios = x.new_empty(len(x))
        rounds = zip(
            sizes, x.split(sizes), shares.split(sizes), ratios[:, None].split(sizes), strict=True
        )
        for number, (size, rows, row_shares, row_ratios) in enumerate(rounds):
            v = vectors[:size]
            if not isinstance(share, Tensor):
                row_shares.copy_(share(number, rows, v))
                row_ratios = _ratio(row_shares[:, None])
            v.addcmul_(rows, row_ratios)
            v.div_(torch.linalg.vector_norm(v, dim=1, keepdim=True))
        # Not a number: a person without prototype got a zero row, or one that does not count.
        self.vectors.index_copy_(0, persons, vectors.nan_to_num_().to(self.vectors.dtype))
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
        if size == 0:
            return 0
        kept = embeddings[-size:]
        nth = torch.arange(rows - len(kept), rows, device=self.head.device)
        places = (self.head + nth) % size
        self.vectors.index_copy_(0, places, kept.to(self.vectors.dtype))
        self.head.add_(rows).remainder_(size)
        return len(kept)


def filled(vectors: Tensor) -> Tensor:
    """Which rows (N, D) of a memory have been written, (N,) bool."""
    return torch.linalg.vector_norm(vectors, dim=1) > 0


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
