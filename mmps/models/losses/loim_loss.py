from typing import ClassVar

from torch import Tensor

from mmps.registry import MODELS

from .instance_matching import InstanceMatchingLoss
from .memory import CircularQueue
from .sharded_table import lookup_table
from .step import Step


@MODELS.register_module()
class LOIMLoss(InstanceMatchingLoss):
    """Localisation-aware online instance matching (OIMNet++, ECCV 2022, arXiv 2207.10320).

    As OIM, but the better a row's box fits its person, the more it moves the prototype:
    ``v <- normalise(eta v + (1 - eta) x)`` with ``eta = 1 - clip(IoU, iou_min, 1 - eps)``. Loss,
    and when the memory is written: :class:`~mmps.models.losses.InstanceMatchingLoss`.

    Args:
        num_persons: L, rows of the lookup table: the ``num_persons`` of the training dataset.
        queue_size: Q, places for persons without identity.
        dim: D, embedding size.
        eps: the share of the prototype that always stays.
        iou_min: IoU counts as at least this. 0.7 in the authors' code; the paper has no such
            bound (0).
        temperature: tau. 1/30 in the authors' code ("scalar 30"); the paper prints 0.33.
        loss_weight: factor of the loss.
        sharded: let each process hold a part of the table alone, for millions of persons;
            :class:`~mmps.models.losses.ShardedLookupTable`.

    Raises:
        ValueError: unless ``0 <= iou_min <= 1 - eps <= 1``.
    """

    needs_ious: ClassVar[bool] = True
    queue: CircularQueue

    def __init__(
        self,
        num_persons: int,
        queue_size: int,
        *,
        dim: int = 256,
        eps: float = 0.1,
        iou_min: float = 0.7,
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
        if not 0 <= iou_min <= 1 - eps <= 1:
            raise ValueError(
                f'eps={eps}, iou_min={iou_min}: an IoU is clipped to iou_min .. 1 - eps; choose '
                'them with 0 <= iou_min <= 1 - eps <= 1.'
            )
        self.eps = eps
        self.iou_min = iou_min

    def _row_weights(self, ious: Tensor | None, others: Tensor | None) -> Tensor | None:
        assert ious is not None
        return ious.clamp(self.iou_min, 1 - self.eps)

    def _update(self, step: Step) -> dict[str, float | Tensor]:
        assert step.weights is not None
        self.table.update(step.x, step.persons, step.sizes, step.weights)
        entered = self.queue.push(step.others)
        return dict(queue_replaced=self._share_of_queue(entered))
