import math
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmps.models.collectives import gather_rows, sum_of_losses
from mmps.models.recomputation import is_recomputed

from .importance_queue import ImportanceQueue
from .memory import CircularQueue, LookupTable, mean_cosine, sum_of_filled
from .step import Step, make_step, to_device


class InstanceMatchingLoss(BaseModule):
    """What the losses of online instance matching share: all but the update of the memory.

    ``s = [V; U] x / temperature``, and the loss is the mean of ``-log softmax(s)[y]`` over the
    labelled rows (OIM, CVPR 2017, eq. 3 to 6). Rows of V and U that were never written stay in the
    softmax with similarity 0, as in the authors' code and its successors (NAE, SeqNet).

    Where several processes train together, each keeps the same memory: the loss is normalised by
    the labelled rows of all of them, and the rows of all, in rank order, update it. N processes
    with b rows do what one does with N b. All have to call the loss together, if only with no
    rows. A step moves ``R (4 D + 8) + 8 N + 4`` bytes through each process (LOIM and SMR: 4 R
    more), where R is N times the most rows that a process has: the rows, their persons and
    numbers, and the loss, whatever the sizes of table and queue. A table of millions of persons
    can be spread over the processes, :class:`~mmps.models.losses.ShardedLookupTable`.

    A training step only *stages* its rows; :meth:`commit` writes them to the memory, so the
    gradients always belong to the memory as it was before the step. ``mmps.MemoryHook`` commits
    after every iteration; without the hook the next forward pass in training does it first. On a
    GPU the host waits in the forward pass alone: for the persons of the rows, for whether all is
    finite and, with several processes, for the numbers of their rows.

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
        self._staged: Step | None = None
        self._last_update: dict[str, float | Tensor] = {}

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
            ValueError: if the loss needs ``ious`` and gets none, or a pid has no row in the table.
                Of several processes only those that have such a row raise.
        """
        if self.needs_ious and ious is None:
            raise ValueError(
                f'{type(self).__name__} weighs rows by their IoU with the ground truth: call it '
                'with ious, or choose mmps.OIMLoss.'
            )
        # Once more in a backward pass (activation checkpointing), the rows are those staged.
        if self.training and not is_recomputed():
            self.commit()
        # Where the rows are: on a GPU the host waits for it.
        on_host = pids.cpu().numpy()
        self._check_places(on_host)
        labelled, others = np.flatnonzero(on_host >= 0), np.flatnonzero(on_host == -1)
        rows = to_device(np.concatenate([labelled, others]), pids.device)
        # The memory and the softmax at temperature 1/30 need float32, also under autocast.
        with torch.autocast(embeddings.device.type, enabled=False):
            x, y = embeddings[rows].float(), pids[rows]
            total, similarities = self.table.negative_log_likelihood(
                x, y[: len(labelled)], self.queue.vectors, self.temperature
            )
            if not self.training:
                return self.loss_weight * total / max(len(labelled), 1)
            overlaps = None if ious is None else ious[rows].float()
            return self.loss_weight * self.stage(x, y, overlaps, total, similarities)

    def _check_places(self, pids: np.ndarray) -> None:
        # Cross-entropy would take a place in the queue for the person.
        largest = pids.max(initial=-1)
        if largest >= self.num_persons:
            raise ValueError(
                f'loss_reid.num_persons={self.num_persons}, but a label is {largest}: labels are '
                '0..num_persons-1. Set model.roi_head.loss_reid.num_persons (of a model of crops '
                'model.head.loss_reid.num_persons) to the number of identities of the training '
                'data; data of several datasets have to be one, with one numbering of identities.'
            )

    def stage(
        self, x: Tensor, y: Tensor, ious: Tensor | None, total: Tensor, others: Tensor | None
    ) -> Tensor:
        """Put the rows of all processes in order for :meth:`commit`.

        None are staged where the loss or one of them is not finite: such a step does not count. On
        a GPU the host waits here to see it, and whose the rows are, and needs not when it writes.

        Args:
            x: (B, D) float32, norm 1, of this process, labelled rows first.
            y: (B,) int64, 0..L-1, then -1.
            ious: (B,) float32; only LOIM reads it.
            total: scalar, and
            others: (M, L + Q) or None, as ``table.negative_log_likelihood`` returns them.

        Returns:
            Scalar, ``total`` of all processes by labelled row of all processes.
        """
        with torch.no_grad():
            weights = self._row_weights(ious, others)
        columns = [] if weights is None else [F.pad(weights, (len(x) - len(weights), 0))]
        x, y, *columns = gather_rows(x, y, *columns)
        total = sum_of_losses(total)
        step = make_step(x, y, columns[0] if columns else None)
        # The sum is not finite if any row is not.
        self._staged = step if math.isfinite(total.detach() + x.sum()) else None
        return total / max(len(step.x), 1)

    @torch.no_grad()
    def commit(self) -> None:
        """Write the staged rows to table and queue, once.

        Without staged rows the memory stays as it is. On a GPU the host never waits here.
        """
        if self._staged is None:
            return
        step, self._staged = self._staged, None
        with torch.autocast(step.x.device.type, enabled=False):
            self._last_update = self._update(step)

    def discard(self) -> None:
        """Forget the staged rows: the step they belong to did not count."""
        self._staged = None

    def _row_weights(self, ious: Tensor | None, others: Tensor | None) -> Tensor | None:
        """A number by row that the update needs; arguments as those of :meth:`stage`.

        Returns:
            (B,); (M,) if rows without identity alone have one; None where there is none.
        """
        return None

    def _update(self, step: Step) -> dict[str, float | Tensor]:
        """Write one step to table and queue.

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
        tensors = [torch.as_tensor(v, device=table.device).float() for v in figures.values()]
        values = torch.stack(tensors).tolist()
        return {
            name: value for name, value in zip(figures, values, strict=True) if math.isfinite(value)
        }

    def _share_of_queue(self, entries: int | Tensor) -> float | Tensor:
        return entries / max(len(self.queue.vectors), 1)
