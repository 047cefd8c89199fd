import torch
from torch import Tensor, nn

from .memory import LookupTable, highest_similarity


class ImportanceQueue(nn.Module):
    """Embeddings U of persons without identity, the most important ones (SMR; SeqXt, eq. 10).

    The importance of an embedding x, l iterations after it entered, is::

        omega = max(0, max_l v_l . x) / (max(0, max_q u_q . x) + eps) * decay ** l

    with the prototypes V and the queue U as they stood before the step that x came from: high
    where x looks like a labelled person and unlike what the queue already holds. An entry is
    scored once, as a candidate, and decays from then on; it is never compared with itself.

    Args:
        size: Q; 0 for no queue.
        dim: D.
        decay: k of eq. 10, in (0, 1]. 0.99 in the paper.
        eps: keeps the quotient finite; the paper does not give its value.

    Attributes:
        vectors: (Q, D) float32 buffer by descending importance; zero rows where empty.
        importance: (Q,) float32 buffer, omega at entry; -inf where empty.
        age: (Q,) int64 buffer, l.
    """

    vectors: Tensor
    importance: Tensor
    age: Tensor

    def __init__(self, size: int, dim: int, *, decay: float = 0.99, eps: float = 1e-6) -> None:
        super().__init__()
        if not 0 < decay <= 1:
            raise ValueError(f'decay={decay}: an importance decays by a factor in (0, 1].')
        self.register_buffer('vectors', torch.zeros(size, dim))
        self.register_buffer('importance', torch.full((size,), -torch.inf))
        self.register_buffer('age', torch.zeros(size, dtype=torch.int64))
        self.decay = decay
        self.eps = eps

    @torch.no_grad()
    def score(self, embeddings: Tensor, table: LookupTable) -> Tensor:
        """Importance of candidates as they enter.

        Args:
            embeddings: (B, D), norm 1.
            table: V.

        Returns:
            (B,) omega, at least 0.
        """
        held = highest_similarity(embeddings, self.vectors)
        return self.importance_of(table.highest_similarity(embeddings), held)

    def importance_of(self, known: Tensor, held: Tensor) -> Tensor:
        """Importance (B,) of candidates by their highest similarities to V and to U, (B,)."""
        return known.clamp(min=0) / (held.clamp(min=0) + self.eps)

    @torch.no_grad()
    def push(self, embeddings: Tensor, importance: Tensor) -> Tensor:
        """Let an iteration pass and keep the Q most important of entries and candidates.

        That is what remains when one candidate after another replaces the entry of lowest
        importance if it beats it. Among equals, entries stay before candidates and earlier
        candidates before later ones.

        Args:
            embeddings: (B, D), the candidates of a step.
            importance: (B,), as :meth:`score` gave it before anything of the step was written.

        Returns:
            () int64, how many candidates entered.
        """
        size = len(self.vectors)
        # An empty place does not age: -inf would become NaN where decay ** age underflows.
        self.age.add_(self.importance >= 0)
        age = torch.cat([self.age, self.age.new_zeros(len(embeddings))])
        entered = torch.cat([self.importance, importance.to(self.importance.dtype)])
        vectors = torch.cat([self.vectors, embeddings.to(self.vectors.dtype)])
        # A stable sort, unlike topk, decides ties alike on every device and process.
        order = (entered * self.decay**age).argsort(descending=True, stable=True)[:size]
        torch.index_select(vectors, 0, order, out=self.vectors)
        self.importance.copy_(entered[order])
        self.age.copy_(age[order])
        return (order >= size).sum()
