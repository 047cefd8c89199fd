"""The order in which the memory takes the rows of a step."""

import numpy as np
import pytest
import torch

from mmps.models.losses import plan_rounds
from mmps.models.losses.step import make_step


def test_rounds_by_hand() -> None:
    pids = np.array([5, -1, 3, 5, 9, 5, -1, 3])
    labelled, others, sizes = plan_rounds(pids)
    # Person 5 has three rows, 3 two, 9 one.
    assert labelled.tolist() == [0, 2, 4, 3, 7, 5]
    assert others.tolist() == [1, 6]
    assert sizes == [3, 2, 1]


@pytest.mark.parametrize('seed', range(20))
def test_rounds_of_any_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pids = rng.integers(-1, 6, rng.integers(0, 30))
    labelled, others, sizes = plan_rounds(pids)
    assert others.tolist() == [row for row, pid in enumerate(pids) if pid < 0]
    assert sizes == sorted(sizes, reverse=True)
    ends = np.cumsum(sizes)
    rounds = [labelled[end - size : end].tolist() for end, size in zip(ends, sizes, strict=True)]
    persons = [pids[row] for row in rounds[0]] if rounds else []
    assert sorted(persons) == sorted({pid for pid in pids if pid >= 0})
    for place, person in enumerate(persons):
        rows = [rows[place] for rows in rounds if place < len(rows)]
        assert rows == [row for row, pid in enumerate(pids) if pid == person]


def test_a_step_is_in_that_order() -> None:
    x = torch.arange(5.0)[:, None]
    pids = torch.tensor([4, -1, 2, 2, -1])
    step = make_step(x, pids, 10 + x[:, 0])
    assert step.x.flatten().tolist() == [2, 0, 3]
    assert step.weights is not None
    assert step.weights.tolist() == [12, 10, 13]
    assert step.persons.tolist() == [2, 4]
    assert step.sizes == [2, 1]
    assert step.others.flatten().tolist() == [1, 4]
    assert step.other_weights is not None
    assert step.other_weights.tolist() == [11, 14]
    pids = torch.full((5,), -1)
    unweighted = make_step(x, pids, None)
    assert unweighted.weights is unweighted.other_weights is None
    assert unweighted.persons.tolist() == unweighted.sizes == []
