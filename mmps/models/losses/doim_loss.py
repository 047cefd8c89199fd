import torch
from torch import Tensor

from mmps.registry import MODELS

from .importance_queue import ImportanceQueue
from .instance_matching import InstanceMatchingLoss
from .memory import CircularQueue, LookupTable, filled
from .sharded_table import lookup_table


def hardest_negatives(x: Tensor, pids: Tensor, table: LookupTable) -> Tensor:
    """The filled prototype nearest to that of each row's person (SeqXt, eq. 8).

    A person who has no prototype yet is looked up by the first of her rows, which becomes it.

    Args:
        x: (B, D), norm 1.
        pids: (B,) int64 in 0..L-1.
        table: V.

    Returns:
        (B, D): ``v_q``, ``q = argmax over filled p != y of v_p . v_y``; zero where nobody else has
        a prototype.
    """
    if len(x) == 0:
        return x
    prototypes = table.prototypes(pids)
    first_row = (pids[:, None] == pids).int().argmax(dim=1)
    own = torch.where(filled(prototypes)[:, None], prototypes, x[first_row])
    return table.nearest_other(own, pids)[1]


@MODELS.register_module()
class DOIMLoss(InstanceMatchingLoss):
    """Dynamic online instance matching (SeqXt, CMC 2025, 10.32604/cmc.2025.067264, eq. 8 to 10).

    Two changes to OIM's memory, each of which can be switched off (Table 3):

    - HEA: ``v_y <- normalise(w_old v_y + (1 - w_old) x)`` with
      ``w_old = sigmoid((v_q . x - v_y . x) / temperature)`` and the hardest negative v_q of
      :func:`hardest_negatives`. A row that is nearer to another person than to its own hardly
      moves the prototype. Rows count in batch order: v_y is the prototype as the rows before left
      it, v_q that of before the step. A person's first row becomes her prototype.
    - SMR: the queue keeps the most important persons without identity,
      :class:`~mmps.models.losses.ImportanceQueue`.

    Loss, and when the memory is written: :class:`~mmps.models.losses.InstanceMatchingLoss`.

    Args:
        num_persons: L, rows of the lookup table: the ``num_persons`` of the training dataset.
        queue_size: Q, places for persons without identity.
        hea: weigh rows by eq. 8 and 9; otherwise by ``momentum``, as OIM.
        smr: keep the queue by eq. 10; otherwise first in, first out, as OIM.
        dim: D, embedding size.
        momentum: eta of OIM, read without ``hea`` alone.
        decay: k of eq. 10, read with ``smr`` alone.
        temperature: tau, of the loss and of HEA.
        loss_weight: factor of the loss.
        sharded: let each process hold a part of the table alone, for millions of persons;
            :class:`~mmps.models.losses.ShardedLookupTable`.
    """

    def __init__(
        self,
        num_persons: int,
        queue_size: int,
        *,
        hea: bool = True,
        smr: bool = True,
        dim: int = 256,
        momentum: float = 0.5,
        decay: float = 0.99,
        temperature: float = 1 / 30,
        loss_weight: float = 1.0,
        sharded: bool = False,
    ) -> None:
        super().__init__(
            lookup_table(num_persons, dim, sharded=sharded),
            ImportanceQueue(queue_size, dim, decay=decay)
            if smr
            else CircularQueue(queue_size, dim),
            temperature=temperature,
            loss_weight=loss_weight,
        )
        self.hea = hea
        self.momentum = momentum

    def _update(
        self, x: Tensor, pids: Tensor, ious: Tensor | None, others: Tensor
    ) -> dict[str, Tensor]:
        entered: int | Tensor
        if isinstance(self.queue, ImportanceQueue):
            # The table is written below: candidates are scored before.
            importance = self.queue.score(others, self.table)
            entered = self.queue.push(others, importance)
        else:
            entered = self.queue.push(others)
        figures = dict(queue_replaced=self._share_of_queue(entered))
        if self.hea:
            figures['hea_weight'] = 1 - self._update_by_hardness(x, pids).mean()
        else:
            self.table.update(x, pids, self.momentum)
        return figures

    def _update_by_hardness(self, x: Tensor, pids: Tensor) -> Tensor:
        """Write labelled rows to the table by HEA; return their w_old, (B,)."""
        negatives = hardest_negatives(x, pids, self.table)

        def w_old(rows: Tensor, prototypes: Tensor) -> Tensor:
            margin = ((negatives[rows] - prototypes) * x[rows].double()).sum(dim=1)
            weight = torch.sigmoid(margin / self.temperature)
            return torch.where(filled(prototypes), weight, 0.0)

        return self.table.update(x, pids, w_old)
