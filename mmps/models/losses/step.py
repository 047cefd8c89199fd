"""The rows of a training step, put in the order in which the memory takes them."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Step(NamedTuple):
    """What a training step writes to table and queue.

    Rows of one person have to be taken in batch order, those of different persons do not meet. So
    labelled rows are in *rounds*: the first rows of all persons, then the second rows of those who
    have one, and so on. Persons are in the same order in each round, those with the most rows
    first: a round of n rows is of the first n persons.

    Attributes:
        x: (N, D) float32, the labelled rows, round after round.
        persons: (P,) int64 in 0..L-1, the persons of the first round.
        sizes: of the rounds; P, ..., with sum N.
        weights: (N,) float32, by labelled row; None where the loss has none.
        others: (M, D) float32, rows of persons without identity, in batch order.
        other_weights: (M,) float32, theirs; None where the loss has none.
        valid: () bool, on the rows' device: whether the step counts. The host does not wait for it.
    """

    x: Tensor
    persons: Tensor
    sizes: list[int]
    weights: Tensor | None
    others: Tensor
    other_weights: Tensor | None
    valid: Tensor


def make_step(x: Tensor, pids: Tensor, weights: Tensor | None, valid: Tensor) -> Step:
    """Put the rows of a step in order.

    On a GPU the host waits for ``pids`` here, so that nothing has to wait when the rows are
    written.

    Args:
        x: (B, D) float32, in batch order.
        pids: (B,) int64: 0..L-1 labelled, -1 a person without identity.
        weights: (B,) float32, or None.
        valid: () bool.
    """
    labelled, others, sizes = plan_rounds(pids.cpu().numpy())
    order = torch.from_numpy(np.concatenate([labelled, others]))
    if x.is_cuda:
        order = order.pin_memory()
    order = order.to(x.device, non_blocking=True)
    first_round = order[: sizes[0] if sizes else 0]
    split = [len(labelled), len(others)]
    ordered, ordered_others = x.index_select(0, order).split(split)
    row_weights, other_weights = None, None
    if weights is not None:
        row_weights, other_weights = weights.index_select(0, order).split(split)
    return Step(
        ordered,
        pids.index_select(0, first_round),
        sizes,
        row_weights,
        ordered_others,
        other_weights,
        valid,
    )


def plan_rounds(pids: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The order of :class:`Step`.

    Args:
        pids: (B,) int64.

    Returns:
        Labelled rows (N,), the others (M,), and the sizes of the rounds.
    """
    by_person = pids.argsort(kind='stable')
    others, rows = np.split(by_person, [np.count_nonzero(pids < 0)])
    ids = pids[rows]
    first = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
    count = np.diff(np.append(first, len(ids)))
    turn = np.arange(len(ids)) - first.repeat(count)
    order = np.lexsort((-count.repeat(count), turn))
    return rows[order], others, np.bincount(turn).tolist()
