import torch
from torch import Tensor

from mmps.registry import MODELS

from .importance_queue import ImportanceQueue
from .instance_matching import InstanceMatchingLoss
from .memory import CircularQueue, LookupTable, filled
from .sharded_table import lookup_table
from .step import Step


def hardest_negatives(x: Tensor, prototypes: Tensor, persons: Tensor, table: LookupTable) -> Tensor:
    """The filled prototype nearest to that of each person (SeqXt, eq. 8).

    A person who has no prototype yet is looked up by the first of her rows, which becomes it.

    Args:
        x: (P, D), norm 1, the persons' first rows.
        prototypes: (P, D), theirs; zero where not filled.
        persons: (P,) int64 in 0..L-1.
        table: V.

    Returns:
        (P, D): ``v_q``, ``q = argmax over filled p != y of v_p . v_y``; zero where nobody else has
        a prototype.
    """
    own = torch.where(filled(prototypes)[:, None], prototypes, x)
    return table.nearest_other(own, persons)[1]


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

    def _row_weights(self, ious: Tensor | None, others: Tensor | None) -> Tensor | None:
        """Importance of the rows without identity, from the products that the loss has."""
        split = [self.num_persons, len(self.queue.vectors)]
        if others is None or not isinstance(self.queue, ImportanceQueue) or 0 in split:
            return None
        known, held = (part.amax(dim=1) * self.temperature for part in others.split(split, dim=1))
        return self.queue.importance_of(known, held)

    def _update(self, step: Step) -> dict[str, float | Tensor]:
        entered: int | Tensor
        if isinstance(self.queue, ImportanceQueue):
            importance = step.other_weights
            if importance is None:
                # The table is written below: candidates are scored before.
                importance = self.queue.score(step.others, self.table)
            entered = self.queue.push(step.others, importance)
        else:
            entered = self.queue.push(step.others)
        figures = dict(queue_replaced=self._share_of_queue(entered))
        if self.hea:
            figures['hea_weight'] = self._update_by_hardness(step).mean()
        else:
            share = step.x.new_full((len(step.x),), 1 - self.momentum)
            self.table.update(step.x, step.persons, step.sizes, share)
        return figures

    def _update_by_hardness(self, step: Step) -> Tensor:
        """Write labelled rows to the table by HEA; return their weights ``1 - w_old``, (N,)."""
        prototypes = self.table.prototypes(step.persons)
        first_rows = step.x[: len(step.persons)]
        negatives = hardest_negatives(first_rows, prototypes, step.persons, self.table).double()
        known = filled(prototypes)

        def share(number: int, rows: Tensor, v: Tensor) -> Tensor:
            margin = ((v - negatives[: len(v)]) * rows).sum(dim=1)
            weight = torch.sigmoid(margin / self.temperature)
            return torch.where(known, weight, 1.0) if number == 0 else weight

        return self.table.update(step.x, step.persons, step.sizes, share)
