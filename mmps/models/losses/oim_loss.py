import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmps.registry import MODELS

from .memory import CircularQueue, LookupTable


@MODELS.register_module()
class OIMLoss(BaseModule):
    """Online instance matching (Xiao et al., CVPR 2017, eq. 3 to 6).

    ``s = [V; U] x / temperature``, and the loss is the mean of ``-log softmax(s)[y]`` over the
    labelled rows. Rows of V and U that were never written stay in the softmax with similarity 0,
    as in the authors' code and its successors (NAE, SeqNet).

    A training step only *stages* its rows; :meth:`commit` writes them to the memory, so the
    gradients always belong to the memory as it was before the step. ``mmps.MemoryHook`` commits
    after every iteration; without the hook the next forward pass does it first.

    Args:
        num_persons: L, rows of the lookup table: the ``num_persons`` of the training dataset.
        queue_size: Q, places for persons without identity.
        dim: D, embedding size.
        momentum: eta of ``v <- normalise(eta v + (1 - eta) x)``. 0.5 in SeqNet's code.
        temperature: tau. 1/30 in the authors' code ("scalar 30"); OIMNet++ prints 0.33.
        loss_weight: factor of the loss.
    """

    def __init__(
        self,
        num_persons: int,
        queue_size: int,
        *,
        dim: int = 256,
        momentum: float = 0.5,
        temperature: float = 1 / 30,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.table = LookupTable(num_persons, dim)
        self.queue = CircularQueue(queue_size, dim)
        self.momentum = momentum
        self.temperature = temperature
        self.loss_weight = loss_weight
        self._staged: tuple[Tensor, Tensor] | None = None

    @property
    def num_persons(self) -> int:
        """L, the number of labelled persons that the table has room for."""
        return len(self.table.vectors)

    def forward(self, embeddings: Tensor, pids: Tensor) -> Tensor:
        """Compute the loss and stage the rows for the memory.

        Args:
            embeddings: (B, D), norm 1.
            pids: (B,) int64: 0..L-1 labelled, -1 a person without identity, -2 background.

        Returns:
            Scalar loss in float32; 0, with a gradient of 0, when no row is labelled.
        """
        self.commit()
        # The memory and the softmax at temperature 1/30 need float32, also under autocast.
        with torch.autocast(embeddings.device.type, enabled=False):
            persons = pids >= -1
            x, y = embeddings[persons].float(), pids[persons]
            memory = torch.cat([self.table.vectors, self.queue.vectors])
            similarities = x @ memory.t() / self.temperature
            total = F.cross_entropy(similarities, y, ignore_index=-1, reduction='sum')
            loss = total / (y >= 0).sum().clamp(min=1)
        if self.training and bool(torch.isfinite(loss)):
            self._staged = (x.detach(), y)
        return self.loss_weight * loss

    @torch.no_grad()
    def commit(self) -> None:
        """Write the staged rows to table and queue; without staged rows, do nothing."""
        if self._staged is None:
            return
        x, y = self._staged
        self._staged = None
        labelled = y >= 0
        self.table.update(x[labelled], y[labelled], self.momentum)
        self.queue.push(x[~labelled])
