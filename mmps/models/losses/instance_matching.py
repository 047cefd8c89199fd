import math
from typing import ClassVar

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmps.models.collectives import gather_rows, sum_of_losses

from .importance_queue import ImportanceQueue
from .memory import CircularQueue, LookupTable, mean_cosine, sum_of_filled


class InstanceMatchingLoss(BaseModule):
    """What the losses of online instance matching share: all but the update of the memory.

    ``s = [V; U] x / temperature``, and the loss is the mean of ``-log softmax(s)[y]`` over the
    labelled rows (OIM, CVPR 2017, eq. 3 to 6). Rows of V and U that were never written stay in the
    softmax with similarity 0, as in the authors' code and its successors (NAE, SeqNet).

    Where several processes train together, each keeps the same memory: the loss is normalised by
    the labelled rows of all of them, and the rows of all, in rank order, update it. N processes
    with b rows do what one does with N b. All have to call the loss together, if only with no
    rows. A step moves ``R (4 D + 8) + 8 N + 4`` bytes through each process (LOIM: 4 R more), where
    R is N times the most rows that a process has: the rows, their persons and numbers, and the
    loss, whatever the sizes of table and queue. A table of millions of persons can be spread over
    the processes, :class:`~mmps.models.losses.ShardedLookupTable`.

    A training step only *stages* its rows; :meth:`commit` writes them to the memory, so the
    gradients always belong to the memory as it was before the step. ``mmps.MemoryHook`` commits
    after every iteration; without the hook the next forward pass in training does it first.

    Args:
        table: V.
        queue: U.
        temperature: tau.
        loss_weight: factor of the loss.
    """

    needs_ious: ClassVar[bool] = False

    def __init__(
        self,
        table: LookupTable,
        queue: CircularQueue | ImportanceQueue,
        *,
        temperature: float,
        loss_weight: float,
    ) -> None:
        super().__init__()
        self.table = table
        self.queue = queue
        self.temperature = temperature
        self.loss_weight = loss_weight
        self._staged: tuple[Tensor, Tensor, Tensor | None, Tensor] | None = None
        self._last_update: dict[str, Tensor] = {}

    @property
    def num_persons(self) -> int:
        """L, the number of labelled persons that the table has room for."""
        return self.table.shape[0]

    def forward(self, embeddings: Tensor, pids: Tensor, ious: Tensor | None = None) -> Tensor:
        """Compute the loss and, in training, stage the rows for the memory.

        Args:
            embeddings: (B, D), norm 1.
            pids: (B,) int64: 0..L-1 labelled, -1 a person without identity, -2 background.
            ious: (B,) in 0..1, IoU of each row's box with its ground truth; only LOIM reads it.

        Returns:
            Scalar loss in float32; 0, with a gradient of 0, when no row is labelled.

        Raises:
            ValueError: if the loss needs ``ious`` and gets none.
        """
        if self.needs_ious and ious is None:
            raise ValueError(
                f'{type(self).__name__} weighs rows by their IoU with the ground truth: call it '
                'with ious, or choose mmps.OIMLoss.'
            )
        if self.training:
            self.commit()
        # The memory and the softmax at temperature 1/30 need float32, also under autocast.
        with torch.autocast(embeddings.device.type, enabled=False):
            persons = pids >= -1
            x, y = embeddings[persons].float(), pids[persons]
            total = self.table.negative_log_likelihood(x, y, self.queue.vectors, self.temperature)
        if not self.training:
            return self.loss_weight * total / (y >= 0).sum().clamp(min=1)
        overlaps = (ious[persons].float(),) if self.needs_ious and ious is not None else ()
        x, y, *rest = gather_rows(x, y, *overlaps)
        loss = sum_of_losses(total) / (y >= 0).sum().clamp(min=1)
        # Looked at by commit, when the device has finished the step anyway.
        finite = torch.isfinite(loss.detach()) & torch.isfinite(x).all()
        self._staged = (x, y, rest[0] if rest else None, finite)
        return self.loss_weight * loss

    @torch.no_grad()
    def commit(self) -> None:
        """Write the staged rows to table and queue, once.

        Without staged rows, or where the loss or one of them is not finite, the memory stays as
        it is.
        """
        if self._staged is None:
            return
        x, y, ious, finite = self._staged
        self._staged = None
        if not bool(finite):
            return
        labelled = y >= 0
        overlaps = None if ious is None else ious[labelled]
        with torch.autocast(x.device.type, enabled=False):
            self._last_update = self._update(x[labelled], y[labelled], overlaps, x[~labelled])

    def discard(self) -> None:
        """Forget the staged rows: the step they belong to did not count."""
        self._staged = None

    def _update(
        self, x: Tensor, pids: Tensor, ious: Tensor | None, others: Tensor
    ) -> dict[str, Tensor]:
        """Write one step to table and queue.

        Args:
            x: (N, D) float32, labelled rows in batch order.
            pids: (N,) int64 in 0..L-1.
            ious: (N,) float32, or None where the loss does not need them.
            others: (M, D) float32, rows of persons without identity in batch order.

        Returns:
            Scalars for :meth:`statistics`.
        """
        raise NotImplementedError

    @torch.no_grad()
    def statistics(self) -> dict[str, float]:
        """What the memory looks like; a figure that is not defined (yet) is left out.

        Returns:
            ``cosine_table``, ``cosine_queue``, ``cosine_both``: mean cosine over all pairs of
            filled rows (OIMNet++, Fig. 5). ``filled_table``, ``filled_queue``: share of rows that
            are filled. ``queue_replaced``: share of the queue that the last step wrote.
            ``hea_weight`` (DOIM): mean weight of the last step's labelled rows in their prototype.
        """
        table, known = self.table.sum_of_filled()
        queue, queued = sum_of_filled(self.queue.vectors)
        figures = dict(
            cosine_table=mean_cosine(table, known),
            cosine_queue=mean_cosine(queue, queued),
            cosine_both=mean_cosine(table + queue, known + queued),
            filled_table=known / self.num_persons,
            filled_queue=queued / len(self.queue.vectors),
            **self._last_update,
        )
        values = torch.stack([value.float() for value in figures.values()]).tolist()
        return {
            name: value for name, value in zip(figures, values, strict=True) if math.isfinite(value)
        }

    def _share_of_queue(self, entries: int | Tensor) -> Tensor:
        return torch.as_tensor(entries, device=self.queue.vectors.device) / max(
            len(self.queue.vectors), 1
        )
