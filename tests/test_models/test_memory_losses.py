"""The memory losses against plain sequential versions, and when they write."""

import copy
import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from every_loss import LOSSES
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from sequential_memory import SequentialQueue, fifo, hea_table, oim_table
from torch import Tensor

from mmps.engine.hooks import MemoryHook
from mmps.models import InstanceMatchingLoss, LOIMLoss, OIMLoss
from mmps.models.losses import (
    CircularQueue,
    ImportanceQueue,
    LookupTable,
    mean_cosine,
    sum_of_filled,
)

PERSONS, PLACES, DIM, ROWS, STEPS = 7, 5, 8, 24, 12


def build(name: str, **kwargs: Any) -> InstanceMatchingLoss:
    return LOSSES[name](PERSONS, PLACES, **{'dim': DIM, **kwargs})


def step(seed: int, rows: int = ROWS) -> tuple[Tensor, Tensor, Tensor]:
    """Identities occur several times a step, and more unlabelled rows than the queue can hold."""
    rng = np.random.default_rng(seed)
    x = F.normalize(torch.from_numpy(rng.normal(size=(rows, DIM)).astype(np.float32) + 0.5))
    # Labelled persons 0..6, -1 twice as often as one of them, -2; one person never in early steps.
    pids = torch.from_numpy(rng.integers(-3, PERSONS - (seed < 4), rows)).clamp(min=-2)
    pids[rng.random(rows) < 0.3] = -1
    return x, pids, torch.from_numpy(rng.uniform(0, 1, rows).astype(np.float32))


def by_importance(vectors: np.ndarray, importance: np.ndarray) -> np.ndarray:
    return vectors[np.argsort(-importance)]


@pytest.mark.parametrize('name', LOSSES)
def test_equals_the_sequential_version(name: str) -> None:
    loss = build(name)
    table, queue, head = np.zeros((PERSONS, DIM)), np.zeros((PLACES, DIM)), 0
    smr = SequentialQueue(PLACES, DIM, decay=0.99)
    repeated, replaced = 0, []
    for t in range(STEPS):
        x, pids, ious = step(t)
        value = loss(x, pids, ious)
        vectors = smr.vectors if name in ('doim', 'smr') else queue
        memory = torch.from_numpy(np.concatenate([table, vectors]))
        persons, labelled, others = pids >= -1, pids >= 0, pids == -1
        similarities = x[persons].double() @ memory.t() * 30
        expected = F.cross_entropy(similarities, pids[persons], ignore_index=-1)
        assert value.item() == pytest.approx(expected.item(), abs=1e-5)
        loss.commit()

        x_l, y, x_u = x[labelled].numpy(), pids[labelled].numpy(), x[others].numpy()
        repeated += len(y) - len(set(y))
        scores = smr.score(x_u, table)
        weights = None
        if name in ('hea', 'doim'):
            weights = hea_table(table, x_l, y)
        elif name == 'loim':
            oim_table(table, x_l, y, 1 - ious[labelled].numpy().clip(0.7, 0.9))
        else:
            oim_table(table, x_l, y, np.full(len(y), 0.5))
        np.testing.assert_allclose(loss.table.vectors.numpy(), table, rtol=0, atol=1e-6)
        # HEA multiplies a rounding error by 1 / tau at every step; each step starts alike.
        table[:] = loss.table.vectors.numpy()

        if isinstance(loss.queue, ImportanceQueue):
            entered = smr.push(x_u, scores)
            np.testing.assert_allclose(
                loss.queue.vectors.numpy(),
                by_importance(smr.vectors, smr.omega()),
                rtol=0,
                atol=1e-6,
            )
            np.testing.assert_allclose(
                loss.queue.importance.numpy(),
                by_importance(smr.importance, smr.omega()),
                rtol=1e-4,
            )
            assert loss.queue.age.tolist() == by_importance(smr.age, smr.omega()).tolist()
        else:
            head = fifo(queue, head, x_u)
            np.testing.assert_allclose(loss.queue.vectors.numpy(), queue, rtol=0, atol=1e-6)
            assert loss.queue.head == head
            entered = min(len(x_u), PLACES)
        figures = loss.statistics()
        assert figures['queue_replaced'] == pytest.approx(entered / PLACES)
        replaced.append(entered)
        if weights is None:
            assert 'hea_weight' not in figures
        else:
            assert figures['hea_weight'] == pytest.approx(1 - np.mean(weights), abs=1e-4)
    assert repeated > STEPS  # the case was there
    assert sum(replaced) > 2 * PLACES


def test_both_switches_off_is_oim() -> None:
    oim, doim = build('oim'), LOSSES['doim'](PERSONS, PLACES, dim=DIM, hea=False, smr=False)
    for t in range(4):
        batch = step(t)
        assert torch.equal(oim(*batch), doim(*batch))
    oim.commit()
    doim.commit()
    state = doim.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in oim.state_dict().items())


@pytest.mark.parametrize('rows', [3, 5, 6, 13])
def test_queue_wraps(rows: int) -> None:
    queue, plain, head = CircularQueue(5, 2), np.zeros((5, 2)), 0
    for t in range(4):
        x = torch.arange(2.0 * rows).view(rows, 2) + 100 * t
        assert queue.push(x) == min(rows, 5)
        head = fifo(plain, head, x.numpy())
        np.testing.assert_array_equal(queue.vectors.numpy(), plain)
        assert queue.head == head


def test_a_row_that_cancels_its_prototype_leaves_it() -> None:
    table = LookupTable(1, 2)
    table.vectors[0] = torch.tensor([1.0, 0.0])
    share = torch.tensor([0.5, 0.5])
    opposite = torch.tensor([[-1.0, 0.0]])
    table.update(opposite.repeat(2, 1), torch.tensor([0]), [1, 1], share)
    assert table.vectors.tolist() == [[1.0, 0.0]]


def test_a_row_that_does_not_count_is_no_first_prototype() -> None:
    table = LookupTable(2, 2)
    table.update(torch.eye(2), torch.tensor([0, 1]), [2], torch.tensor([0.0, 1.0]))
    assert table.vectors.tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize('name', LOSSES)
def test_a_zero_row_leaves_the_memory_finite(name: str) -> None:
    loss = build(name)
    for _ in range(2):
        x, pids, ious = step(0)
        x[pids == 1] = 0
        assert (pids == 1).sum() > 1
        loss(x, pids, ious)
        loss.commit()
        assert not loss.table.vectors[1].any()
        norms = loss.table.vectors[loss.table.vectors.any(dim=1)].norm(dim=1)
        torch.testing.assert_close(norms, torch.ones(len(norms)))
    loss(*step(1))
    loss.commit()
    assert loss.table.vectors[1].any()


def test_loim_shares() -> None:
    x = torch.tensor([[0.0, 1.0]] * 3)
    pids, ious = torch.tensor([0, 1, 2]), torch.tensor([0.2, 0.8, 1.0])
    for iou_min, shares in ((0.7, [0.7, 0.8, 0.9]), (0.0, [0.2, 0.8, 0.9])):
        loss = LOIMLoss(3, 0, dim=2, eps=0.1, iou_min=iou_min)
        loss.table.vectors[:, 0] = 1
        loss(x, pids, ious)
        loss.commit()
        expected = F.normalize(torch.tensor([[1 - share, share] for share in shares]))
        torch.testing.assert_close(loss.table.vectors, expected)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match='call it with ious'):
        build('loim')(*step(0)[:2])
    with pytest.raises(ValueError, match='0 <= iou_min <= 1 - eps <= 1'):
        build('loim', eps=0.5, iou_min=0.7)
    with pytest.raises(ValueError, match='decay=0'):
        build('smr', decay=0)
    with pytest.raises(ValueError, match=r'num_persons=0: .* or to 1 if nobody there has an ident'):
        OIMLoss(0, 5)


# ------------------------------------------------------------------ when the memory is written


def snapshot(loss: InstanceMatchingLoss) -> dict[str, Tensor]:
    return copy.deepcopy(dict(loss.state_dict()))


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize('name', LOSSES)
def test_gradients_are_those_of_the_memory_before_the_step(name: str) -> None:
    loss = build(name)
    loss(*step(0))
    loss.commit()
    x, pids, ious = step(1)
    x.requires_grad_()
    memory = torch.cat([loss.table.vectors, loss.queue.vectors])
    persons = pids >= -1
    (expected,) = torch.autograd.grad(
        F.cross_entropy(x[persons] @ memory.t() * 30, pids[persons], ignore_index=-1), x
    )
    before = snapshot(loss)
    value = loss(x, pids, ious)
    assert same(before, snapshot(loss))
    loss.commit()  # before backward: what autograd needs is not written to
    value.backward()
    torch.testing.assert_close(x.grad, expected)
    after = snapshot(loss)
    assert not same(before, after)
    loss.commit()
    assert same(after, snapshot(loss))  # once


@pytest.mark.parametrize('name', LOSSES)
def test_without_the_hook_the_next_forward_commits(name: str) -> None:
    hooked, alone = build(name), build(name)
    for t in range(3):
        values = [loss(*step(t)) for loss in (hooked, alone)]
        assert torch.equal(*values)
        hooked.commit()
    alone.commit()
    assert same(snapshot(hooked), snapshot(alone))


@pytest.mark.parametrize('name', LOSSES)
def test_evaluation_writes_nothing(name: str) -> None:
    loss = build(name)
    loss(*step(0))
    before = snapshot(loss)
    loss.eval()
    loss(*step(1))
    assert same(before, snapshot(loss))
    loss.train()
    loss.commit()  # of the training step alone
    other = build(name)
    other(*step(0))
    other.commit()
    assert same(snapshot(loss), snapshot(other))


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
@pytest.mark.parametrize('pid', [0, -1])
def test_rows_that_are_not_finite_write_nothing(name: str, bad: float, pid: int) -> None:
    loss = build(name)
    loss(*step(0))
    loss.commit()
    before = snapshot(loss)
    x, pids, ious = step(1)
    x[3], pids[3] = bad, pid
    loss(x, pids, ious)
    loss.commit()
    assert same(before, snapshot(loss))
    loss(*step(2))
    loss.commit()
    assert not same(before, snapshot(loss))


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('pids', [[], [-2, -2], [-1, -1, -2], [0, 0, -2]])
def test_steps_without_labelled_or_any_rows(name: str, pids: list[int]) -> None:
    loss = build(name)
    x, _, ious = step(0, rows=len(pids))
    x.requires_grad_()
    value = loss(x, torch.tensor(pids, dtype=torch.long), ious)
    value.backward()
    loss.commit()
    labelled = 0 in pids
    assert (value.item() > 0) == labelled
    assert x.grad.isfinite().all()
    if not labelled:
        assert not x.grad.any()
    assert loss.table.vectors[0].any() == labelled
    assert int(loss.queue.vectors.any(dim=1).sum()) == pids.count(-1)


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('pid', [PERSONS, PERSONS + PLACES - 1, PERSONS + PLACES])
def test_a_person_without_place_is_named(name: str, training: bool, pid: int) -> None:
    loss = build(name)
    loss(*step(0))
    loss.commit()
    before = snapshot(loss)
    x, pids, ious = step(1)
    pids[3] = pid
    message = (
        rf'loss_reid\.num_persons={PERSONS}, but a label is {pid}: .*'
        r'Set model\.roi_head\.loss_reid\.num_persons'
    )
    with pytest.raises(ValueError, match=message):
        loss.train(training)(x, pids, ious)
    loss.commit()
    assert same(before, snapshot(loss))


@pytest.mark.parametrize('name', LOSSES)
def test_no_queue(name: str) -> None:
    loss = LOSSES[name](PERSONS, 0, dim=DIM)
    for t in range(3):
        assert loss(*step(t)).isfinite()
    loss.commit()
    assert set(loss.statistics()) - {'hea_weight'} == {
        'cosine_table', 'cosine_both', 'filled_table', 'queue_replaced',
    }  # fmt: skip


@pytest.mark.parametrize('name', LOSSES)
def test_state_is_saved_and_resumed(name: str) -> None:
    loss, resumed = build(name), build(name)
    for t in range(4):
        loss(*step(t))
    loss.commit()
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for t in range(4, 7):
        assert torch.equal(loss(*step(t)), resumed(*step(t)))
    loss.commit()
    resumed.commit()
    assert same(snapshot(loss), snapshot(resumed))


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(name: str, dtype: torch.dtype) -> None:
    loss, mixed = build(name), build(name)
    for t in range(4):
        x, pids, ious = step(t)
        with torch.autocast('cpu', dtype=dtype):
            value = mixed(x, pids, ious)
        assert value.dtype == torch.float32
        assert torch.equal(value, loss(x, pids, ious))
        x_half = x.to(dtype).requires_grad_()
        loss.eval()(x_half, pids, ious).backward()
        assert x_half.grad.isfinite().all()
        loss.train()
    loss.commit()
    with torch.autocast('cpu', dtype=dtype):
        mixed.commit()
    assert same(snapshot(loss), snapshot(mixed))
    assert loss.table.vectors.dtype == loss.queue.vectors.dtype == torch.float32


def test_loss_weight_and_temperature() -> None:
    x, pids, ious = step(1)
    losses = [build('oim'), build('oim', loss_weight=2.5), build('oim', temperature=0.33)]
    for loss in losses:
        loss(*step(0))
        loss.commit()
    plain, weighted, warm = (loss(x, pids, ious).item() for loss in losses)
    assert weighted == pytest.approx(2.5 * plain)
    assert warm < plain


# ------------------------------------------------------------------ the hook


def test_mean_cosine_of_pairs() -> None:
    x = F.normalize(torch.randn(9, 4))
    cosines = (x @ x.t())[torch.triu(torch.ones(9, 9), 1) > 0]
    padded = torch.cat([x[:4], torch.zeros(3, 4), x[4:]])
    torch.testing.assert_close(mean_cosine(*sum_of_filled(padded)), cosines.mean())
    assert mean_cosine(*sum_of_filled(x[:1])).isnan()
    assert mean_cosine(*sum_of_filled(torch.zeros(3, 4))).isnan()


def test_hook_commits_every_iteration_and_logs_at_its_interval() -> None:
    model = torch.nn.Module()
    model.loss_reid = build('doim')
    hub = MessageHub.get_instance('test_hook_commits_every_iteration')
    wrapper = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
    runner = SimpleNamespace(model=model, message_hub=hub, iter=0, optim_wrapper=wrapper)
    runner.train_dataloader = SimpleNamespace(dataset=None)
    hook = MemoryHook(interval=2)
    names = {f'train/memory_{figure}' for figure in (
        'cosine_table', 'cosine_queue', 'cosine_both', 'filled_table', 'filled_queue',
        'queue_replaced', 'hea_weight',
    )}  # fmt: skip
    hook.before_train(runner)
    for t in range(4):
        hook.before_train_iter(runner, t)
        model.loss_reid(*step(t))
        before = snapshot(model.loss_reid)
        runner.iter = t
        wrapper.step()
        hook.after_train_iter(runner, t)
        assert not same(before, snapshot(model.loss_reid))
        assert set(hub.log_scalars) == (names if t >= 1 else set())
    assert all('loss' not in name for name in hub.log_scalars)
    assert len(hub.get_scalar('train/memory_hea_weight').data[0]) == 2
    figures = model.loss_reid.statistics()
    assert hub.get_scalar('train/memory_cosine_both').current() == figures['cosine_both']
    both = torch.cat([model.loss_reid.table.vectors, model.loss_reid.queue.vectors])
    both = both[both.any(dim=1)]
    pairs = (both @ both.t())[torch.triu(torch.ones(len(both), len(both)), 1) > 0]
    assert figures['cosine_both'] == pytest.approx(pairs.mean().item(), abs=1e-6)
    assert figures['filled_queue'] == 1


@pytest.mark.parametrize('name', LOSSES)
def test_hook_checks_the_size_of_the_table(name: str) -> None:
    model = torch.nn.Module()
    model.loss_reid = build(name)
    inner = SimpleNamespace(num_persons=PERSONS + 1)
    dataset = SimpleNamespace(dataset=inner)
    wrapper = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
    runner = SimpleNamespace(
        model=model, train_dataloader=SimpleNamespace(dataset=dataset), optim_wrapper=wrapper
    )
    with pytest.raises(ValueError, match=r'loss_reid\.num_persons=8 in the config'):
        MemoryHook().before_train(runner)
    inner.num_persons = PERSONS
    MemoryHook().before_train(runner)
