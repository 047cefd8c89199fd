"""The memory updates written from the papers' equations, one row after another.

Ours are compared with them, in result and time. They are loops over rows as the equations read,
each with as many matrix-vector products as it has: what the methods' public implementations do.

Shapes: L labelled persons, Q places in the queue, D embedding size, B rows of a step.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mmps.models.losses import (
    DOIMLoss,
    ImportanceQueue,
    InstanceMatchingLoss,
    LOIMLoss,
    OIMLoss,
)


@dataclass
class PlainMemory:
    """Table V and queue U, and what the queue needs to know where to write.

    Attributes:
        vectors: (L, D), V.
        queue: (Q, D), U.
        head: the place of the queue that is written next; OIM and LOIM.
        importance: (Q,), omega at entry; DOIM.
        age: (Q,), iterations since; DOIM.
    """

    vectors: Tensor
    queue: Tensor
    head: int
    importance: Tensor
    age: Tensor


def update_oim(memory: PlainMemory, x: Tensor, pids: Tensor, keep: Tensor) -> None:
    """OIM: ``v <- normalise(eta v + (1 - eta) x)``; LOIM, where eta is of the IoU.

    Args:
        memory: changed in place.
        x: (B, D), norm 1.
        pids: (B,) int64, -1 or 0..L-1.
        keep: (B,), eta of each row.
    """
    for row, pid, eta in zip(x, pids, keep, strict=True):
        if pid >= 0:
            mixed = eta * memory.vectors[pid] + (1 - eta) * row
            memory.vectors[pid] = mixed / mixed.norm()
        else:
            memory.queue[memory.head] = row
            memory.head = (memory.head + 1) % len(memory.queue)


def update_doim(
    memory: PlainMemory, x: Tensor, pids: Tensor, *, tau: float, decay: float, eps: float
) -> None:
    """DOIM: eq. 8 and 9 of SeqXt for labelled rows, eq. 10 for the others.

    Args:
        memory: changed in place; its queue is full.
        x: (B, D), norm 1.
        pids: (B,) int64, -1 or 0..L-1.
        tau: temperature of HEA.
        decay: k of eq. 10.
        eps: of the quotient of eq. 10.
    """
    table, queue = memory.vectors.clone(), memory.queue.clone()
    filled = table.any(dim=1)
    memory.age += 1
    first: dict[int, Tensor] = {}
    for row, pid in zip(x, pids, strict=True):
        if pid < 0:
            omega = (table @ row).max().clamp(min=0) / ((queue @ row).max().clamp(min=0) + eps)
            current = memory.importance * decay**memory.age
            place = int(current.argmin())
            if omega > current[place]:
                memory.queue[place], memory.importance[place] = row, omega
                memory.age[place] = 0
            continue
        own = first.setdefault(int(pid), row)
        if not memory.vectors[pid].any():
            memory.vectors[pid] = row
            continue
        similarities = table @ (table[pid] if filled[pid] else own)
        similarities[~filled] = -torch.inf
        similarities[pid] = -torch.inf
        negative = table[similarities.argmax()]
        old = memory.vectors[pid]
        w_old = torch.sigmoid((negative @ row - old @ row) / tau)
        mixed = w_old * old + (1 - w_old) * row
        memory.vectors[pid] = mixed / mixed.norm()


def plain_update(
    loss: InstanceMatchingLoss, memory: PlainMemory, x: Tensor, pids: Tensor, ious: Tensor
) -> None:
    """One step of the plain implementation with the settings of a loss.

    Args:
        loss: OIM, LOIM, or DOIM with both of its parts.
        memory: changed in place.
        x: (B, D), norm 1.
        pids: (B,) int64, -1 or 0..L-1.
        ious: (B,).
    """
    queue = loss.queue
    if isinstance(loss, DOIMLoss):
        assert loss.hea
        assert isinstance(queue, ImportanceQueue)
        update_doim(memory, x, pids, tau=loss.temperature, decay=queue.decay, eps=queue.eps)
    elif isinstance(loss, LOIMLoss):
        update_oim(memory, x, pids, 1 - ious.clamp(loss.iou_min, 1 - loss.eps))
    else:
        assert isinstance(loss, OIMLoss)
        update_oim(memory, x, pids, torch.full_like(ious, loss.momentum))


def plain_memory(loss: InstanceMatchingLoss, dtype: torch.dtype) -> PlainMemory:
    """A copy of a loss's memory."""
    queue = loss.queue
    none = queue.vectors.new_zeros(0)
    return PlainMemory(
        loss.table.vectors.to(dtype, copy=True),
        queue.vectors.to(dtype, copy=True),
        int(getattr(queue, 'head', 0)),
        getattr(queue, 'importance', none).to(dtype, copy=True),
        getattr(queue, 'age', none).clone(),
    )


def difference(loss: InstanceMatchingLoss, memory: PlainMemory) -> float:
    """The largest difference between a loss's memory and a plain one.

    The plain queue of DOIM is in no order; an entry is compared with the nearest one in it, and if
    that is not another one for each, the difference is infinite.
    """
    queue = loss.queue
    pairs = [(loss.table.vectors, memory.vectors)]
    if isinstance(queue, ImportanceQueue):
        nearest = torch.cdist(queue.vectors.to(memory.queue), memory.queue).argmin(dim=1)
        if len(nearest.unique()) < len(nearest):
            return math.inf
        pairs += [
            (queue.vectors, memory.queue[nearest]),
            (queue.importance, memory.importance[nearest]),
            (queue.age, memory.age[nearest]),
        ]
    else:
        pairs += [(queue.vectors, memory.queue), (queue.head, torch.tensor(memory.head))]
    return max((ours.cpu() - plain.cpu()).abs().max().item() for ours, plain in pairs)
