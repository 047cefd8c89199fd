from torch import Tensor

from mmps.registry import MODELS

from .instance_matching import InstanceMatchingLoss
from .memory import CircularQueue
from .sharded_table import lookup_table
from .step import Step


@MODELS.register_module()
class OIMLoss(InstanceMatchingLoss):
    """Online instance matching (Xiao et al., CVPR 2017, eq. 3 to 6).

    A labelled row moves its prototype by a fixed share, ``v <- normalise(eta v + (1 - eta) x)``;
    persons without identity queue up first in, first out. Loss, and when the memory is written:
    :class:`~mmps.models.losses.InstanceMatchingLoss`.

    Args:
        num_persons: L, rows of the lookup table: the ``num_persons`` of the training dataset.
        queue_size: Q, places for persons without identity.
        dim: D, embedding size.
        momentum: eta. 0.5 in SeqNet's code.
        temperature: tau. 1/30 in the authors' code ("scalar 30"); OIMNet++ prints 0.33.
        loss_weight: factor of the loss.
        sharded: let each process hold a part of the table alone, for millions of persons;
            :class:`~mmps.models.losses.ShardedLookupTable`.
    """

    queue: CircularQueue

    def __init__(
        self,
        num_persons: int,
        queue_size: int,
        *,
        dim: int = 256,
        momentum: float = 0.5,
        temperature: float = 1 / 30,
        loss_weight: float = 1.0,
        sharded: bool = False,
    ) -> None:
        super().__init__(
            lookup_table(num_persons, dim, sharded=sharded),
            CircularQueue(queue_size, dim),
            temperature=temperature,
            loss_weight=loss_weight,
        )
        self.momentum = momentum

    def _update(self, step: Step) -> dict[str, float | Tensor]:
        share = step.x.new_full((len(step.x),), 1 - self.momentum)
        self.table.update(step.x, step.persons, step.sizes, share)
        entered = self.queue.push(step.others)
        return dict(queue_replaced=self._share_of_queue(entered))
