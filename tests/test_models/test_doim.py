"""DOIM in closed form: what HEA and SMR must do in the cases that they were made for."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sequential_memory import SequentialQueue
from torch import Tensor

from mmps.models import DOIMLoss, ImportanceQueue
from mmps.models.losses import LookupTable, hardest_negatives

TAU = 1 / 30


def unit(*rows: tuple[float, ...]) -> Tensor:
    return F.normalize(torch.tensor(rows, dtype=torch.float32))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def lookup(vectors: Tensor) -> LookupTable:
    table = LookupTable(*vectors.shape)
    table.vectors.copy_(vectors)
    return table


def hea(table: Tensor) -> DOIMLoss:
    loss = DOIMLoss(len(table), 4, dim=table.shape[1], smr=False)
    loss.table.vectors.copy_(table)
    return loss


def learn(loss: DOIMLoss, x: Tensor, pids: list[int]) -> None:
    loss(x, torch.tensor(pids))
    loss.commit()


# ------------------------------------------------------------------ HEA


def test_weight_is_the_sigmoid_of_the_margin() -> None:
    table = unit((1, 0, 0), (0.6, 0.8, 0), (0, 0, 1))
    loss = hea(table)
    x = unit((0.8, 0.1, 0.2))
    learn(loss, x, [0])
    # Person 1 is the hardest negative of person 0: cosine 0.6 against 0.
    w_old = sigmoid(float(table[1] @ x[0] - table[0] @ x[0]) / TAU)
    expected = F.normalize(w_old * table[0] + (1 - w_old) * x[0], dim=0)
    torch.testing.assert_close(loss.table.vectors[0], expected)
    torch.testing.assert_close(loss.table.vectors[1:], table[1:])
    assert loss.statistics()['hea_weight'] == pytest.approx(1 - w_old, rel=1e-4)


def test_easy_sample_pulls_its_prototype_to_itself() -> None:
    loss = hea(unit((1, 0), (0, 1)))
    x = unit((1, 0.3))
    learn(loss, x, [0])
    torch.testing.assert_close(loss.table.vectors[0], x[0], rtol=0, atol=1e-4)


def test_hard_sample_hardly_moves_its_prototype() -> None:
    table = unit((1, 0), (0, 1))
    loss = hea(table)
    learn(loss, unit((0.3, 1)), [0])
    torch.testing.assert_close(loss.table.vectors, table, rtol=0, atol=1e-4)
    assert loss.statistics()['hea_weight'] < 1e-4


def test_sample_between_both_counts_half() -> None:
    table = unit((1, 0), (0, 1))
    loss = hea(table)
    x = unit((1, 1))
    learn(loss, x, [0])
    torch.testing.assert_close(loss.table.vectors[0], F.normalize(table[0] + x[0], dim=0))


def test_first_row_becomes_the_prototype() -> None:
    loss = hea(torch.cat([torch.zeros(2, 2), unit((0, 1))]))
    x = unit((3, 4), (1, 0), (1, 0.01))
    learn(loss, x[:1], [0])
    torch.testing.assert_close(loss.table.vectors[0], x[0])
    assert not loss.table.vectors[1].any()
    # Twice in the step in which she is first seen: the second row meets the first.
    learn(loss, x[1:], [1, 1])
    torch.testing.assert_close(loss.table.vectors[1], x[2], rtol=0, atol=1e-4)


def test_a_person_is_never_her_own_hardest_negative() -> None:
    torch.manual_seed(0)
    table = F.normalize(torch.randn(6, 4))
    table[4] = 0
    pids = torch.tensor([0, 5, 5, 4, 0, 3])
    x = F.normalize(torch.randn(6, 4))
    negatives = hardest_negatives(x, table[pids], pids, lookup(table))
    for row, y, v_q in zip(x, pids.tolist(), negatives, strict=True):
        own = table[y] if table[y].any() else row
        others = [p for p in range(6) if p not in (y, 4)]
        torch.testing.assert_close(v_q, max((table[p] for p in others), key=own.dot))


def test_nobody_else_is_known() -> None:
    table = torch.cat([torch.zeros(1, 2), unit((1, 0))])
    x = unit((0.6, 0.8))
    assert not hardest_negatives(x, table[1:], torch.tensor([1]), lookup(table)).any()
    loss = hea(table)
    learn(loss, x, [1])
    w_old = sigmoid(-0.6 / TAU)
    torch.testing.assert_close(
        loss.table.vectors[1], F.normalize(w_old * table[1] + (1 - w_old) * x[0], dim=0)
    )


def test_rows_count_in_order_and_negatives_are_of_before_the_step() -> None:
    table = unit((1, 0.2), (1, 0.4), (0, 1))
    x = unit((0.9, 0.5), (0.2, 1), (1, 0.25))
    loss = hea(table)
    learn(loss, x, [0, 1, 0])
    first = sigmoid(float(table[1] @ x[0] - table[0] @ x[0]) / TAU)
    v_y = F.normalize(first * table[0] + (1 - first) * x[0], dim=0)
    second = sigmoid(float(table[1] @ x[2] - v_y @ x[2]) / TAU)
    expected = F.normalize(second * v_y + (1 - second) * x[2], dim=0)
    torch.testing.assert_close(loss.table.vectors[0], expected)


def test_opposite_of_a_prototype_that_two_persons_share() -> None:
    table = unit((1, 0), (1, 0))
    loss = hea(table)
    learn(loss, -table[:1], [0])  # w_old is 1/2: the mixture is zero
    torch.testing.assert_close(loss.table.vectors, table)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_no_nan_in_half_precision(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    loss = DOIMLoss(4, 6, dim=8, temperature=TAU)
    axis = torch.eye(8)[:1]
    for _ in range(30):
        # The extremes: the same vector, its opposite, and noise.
        x = torch.cat([axis, -axis, F.normalize(torch.randn(10, 8)), axis]).requires_grad_()
        pids = torch.randint(-2, 4, (13,))
        with torch.autocast('cpu', dtype=dtype):
            value = loss(x.to(dtype), pids)
        value.backward()
        assert value.isfinite()
        assert x.grad.isfinite().all()
        loss.commit()
        state = [v for v in loss.state_dict().values() if v.is_floating_point()]
        assert not any(v.isnan().any() for v in state)
        norms = torch.cat([loss.table.vectors, loss.queue.vectors]).norm(dim=1)
        # Rounded to half precision, an embedding has norm 1 but for 2^-8.
        assert ((norms - 1).abs() < 4e-3).logical_or(norms == 0).all()
    assert loss.table.vectors.any(dim=1).all()


# ------------------------------------------------------------------ SMR


def smr(queue: Tensor, importance: list[float], *, decay: float = 0.99) -> ImportanceQueue:
    module = ImportanceQueue(len(importance), queue.shape[1], decay=decay)
    module.vectors.copy_(queue)
    module.importance.copy_(torch.tensor(importance))
    return module


def test_importance() -> None:
    queue = smr(unit((0, 1, 0), (0, 0, 1)), [1.0, 1.0])
    table = torch.cat([unit((1, 0, 0), (1, 1, 0)), torch.zeros(1, 3)])
    x = unit((1, 0.5, 0), (0, 1, 0), (-1, 0, 0), (0.6, -1, -1))
    scores = queue.score(x, lookup(table))
    assert scores[0].item() == pytest.approx(1.5 / math.sqrt(2) / 0.5, rel=1e-4)
    assert scores[1].item() == pytest.approx(1 / math.sqrt(2), rel=1e-4)
    assert scores[2].item() == 0  # like nobody labelled
    assert scores[3].item() == pytest.approx(0.6 / math.sqrt(2.36) / 1e-6, rel=1e-4)


def test_empty_queue_takes_everything() -> None:
    queue = ImportanceQueue(4, 2)
    table = torch.zeros(3, 2)  # of nobody: every importance is 0
    x = unit((1, 0), (0, 1))
    assert queue.push(x, queue.score(x, lookup(table))) == 2
    torch.testing.assert_close(queue.vectors, torch.cat([x, torch.zeros(2, 2)]))
    assert queue.importance.tolist() == [0, 0, -math.inf, -math.inf]
    assert queue.age.tolist() == [0, 0, 0, 0]


def test_candidate_beats_the_minimum() -> None:
    queue = smr(unit((1, 0), (0, 1)), [0.9, 0.5])
    x = unit((1, 1))
    assert queue.push(x, torch.tensor([0.7])) == 1
    torch.testing.assert_close(queue.vectors, torch.cat([unit((1, 0)), x]))
    assert queue.importance.tolist() == pytest.approx([0.9, 0.7])
    assert queue.age.tolist() == [1, 0]


def test_redundant_candidate_is_refused() -> None:
    loss = DOIMLoss(1, 2, dim=3)
    loss.table.vectors[0] = unit((1, 1, 0))[0]
    loss.queue.vectors.copy_(unit((0, 1, 0), (0, 0, 1)))
    loss.queue.importance.fill_(0.8)
    loss(unit((0, 1, 0)), torch.tensor([-1]))  # is in the queue: 0.71 / 1
    loss.commit()
    torch.testing.assert_close(loss.queue.vectors, unit((0, 1, 0), (0, 0, 1)))
    assert loss.statistics()['queue_replaced'] == 0
    loss(unit((1, 0.1, 0)), torch.tensor([-1]))  # is not: 0.77 / 0.1
    loss.commit()
    torch.testing.assert_close(loss.queue.vectors[0], unit((1, 0.1, 0))[0])
    assert loss.statistics()['queue_replaced'] == 0.5


def test_decay_lets_an_old_entry_go() -> None:
    queue = smr(unit((1, 0)), [1.0], decay=0.9)
    x, score = unit((0, 1)), torch.tensor([0.6])
    steps = 0
    while queue.push(x, score) == 0:
        steps += 1
        assert queue.age.item() == steps
    assert steps == 4  # 0.9^4 = 0.656 holds, 0.9^5 = 0.590 does not
    assert queue.age.item() == 0
    torch.testing.assert_close(queue.vectors, x)


def test_iterations_without_candidates_count() -> None:
    queue = smr(unit((1, 0)), [1.0], decay=0.5)
    for _ in range(3):
        queue.push(torch.zeros(0, 2), torch.zeros(0))
    assert queue.age.item() == 3
    assert queue.push(unit((0, 1)), torch.tensor([0.1])) == 1  # 0.5^4 = 0.06


def test_among_equals_the_earlier_stays() -> None:
    queue = ImportanceQueue(3, 2)
    x = F.normalize(torch.arange(10.0).view(5, 2) + 1)
    assert queue.push(x, torch.zeros(5)) == 3
    torch.testing.assert_close(queue.vectors, x[:3])
    assert queue.push(x[3:], torch.zeros(2)) == 0
    torch.testing.assert_close(queue.vectors, x[:3])


def test_places_that_stay_empty_for_long() -> None:
    queue = ImportanceQueue(3, 2, decay=0.5)
    x = unit((1, 0))
    queue.push(x, torch.tensor([1.0]))
    queue.age[0] = 2000  # 0.5^2000 underflows
    for _ in range(3):
        queue.push(torch.zeros(0, 2), torch.zeros(0))
    torch.testing.assert_close(queue.vectors[:1], x)
    assert queue.importance.tolist() == [1, -math.inf, -math.inf]
    queue.push(unit((0, 1)), torch.tensor([0.2]))
    torch.testing.assert_close(queue.vectors, torch.cat([unit((0, 1), (1, 0)), torch.zeros(1, 2)]))


@pytest.mark.parametrize('candidates', [1, 4, 20])
@pytest.mark.parametrize('seed', range(5))
def test_sequential_replacement_is_the_selection_of_the_best(candidates: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    queue, plain = ImportanceQueue(6, 3, decay=0.9), SequentialQueue(6, 3, decay=0.9)
    for _ in range(8):
        x = rng.normal(size=(candidates, 3))
        scores = rng.exponential(size=candidates)
        entered = queue.push(torch.from_numpy(x).float(), torch.from_numpy(scores).float())
        assert entered == plain.push(x, list(scores))
        order = np.argsort(-plain.omega(), kind='stable')
        np.testing.assert_allclose(queue.vectors.numpy(), plain.vectors[order], rtol=0, atol=1e-6)
        assert queue.age.tolist() == plain.age[order].tolist()


def test_candidates_are_scored_before_the_table_moves() -> None:
    loss = DOIMLoss(2, 2, dim=2)
    x = unit((1, 0), (1, 0.1))
    loss(x, torch.tensor([0, -1]))  # the labelled row fills the table in the same step
    loss.commit()
    assert loss.queue.importance.tolist() == [0, -math.inf]
    torch.testing.assert_close(loss.table.vectors[0], x[0])
