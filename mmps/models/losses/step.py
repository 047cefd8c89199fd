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
    """

    x: Tensor
    persons: Tensor
    sizes: list[int]
    weights: Tensor | None
    others: Tensor
    other_weights: Tensor | None


def make_step(x: Tensor, pids: Tensor, weights: Tensor | None) -> Step:
    """Put the rows of a step in order; on a GPU the host waits for the persons.

    Args:
        x: (B, D) float32, in batch order.
        pids: (B,) int64: 0..L-1 labelled, -1 a person without identity.
        weights: (B,) float32, or None.
    """
    labelled, others, sizes = plan_rounds(pids.cpu().numpy())
    order = to_device(np.concatenate([labelled, others]), x.device)
    split = [len(labelled), len(others)]
    labelled_x, other_x = x.index_select(0, order).split(split)
    row_weights, other_weights = None, None
    if weights is not None:
        row_weights, other_weights = weights.index_select(0, order).split(split)
    persons = pids.index_select(0, order[: sizes[0] if sizes else 0])
    return Step(labelled_x, persons, sizes, row_weights, other_x, other_weights)


def to_device(values: np.ndarray, device: torch.device) -> Tensor:
    """The values on a device, for which the host does not wait."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == 'cuda' else tensor


def plan_rounds(pids: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The order of :class:`Step`.

    Args:
        pids: (B,) int64.

    Returns:
        Labelled rows (N,), the others (M,), and the sizes of the rounds.
    """
    by_person = pids.argsort(kind='stable')
    others, labelled = np.split(by_person, [np.count_nonzero(pids < 0)])
    ids = pids[labelled]
    is_first = np.append(True, ids[1:] != ids[:-1])[: len(ids)]
    person = is_first.cumsum() - 1
    turn = np.arange(len(ids)) - np.flatnonzero(is_first)[person]
    order = np.lexsort((-np.bincount(person)[person], turn))
    return labelled[order], others, np.bincount(turn).tolist()
