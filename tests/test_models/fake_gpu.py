"""The memory is written without a wait of the host for the device; seen without a device.

Fake tensors have shapes, types and a device but no values. Whatever needs a value on the host,
such as ``bool(x)``, ``x.item()`` or ``x[mask]``, cannot be computed with them and raises.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from every_loss import LOSSES
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from mmps.models import (
    InstanceMatchingLoss,
    ProtoNorm1d,
    prototype_labels,
)
from mmps.models.losses import ShardedLookupTable, sharded_table

PERSONS, PLACES, DIM = 7, 5, 8


class ForbidHost(TorchDispatchMode):
    """Raises where an operation reads or writes a tensor of the host, which a copy waits for."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        results = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, results)):
            if isinstance(value, Tensor) and value.device.type == 'cpu':
                raise RuntimeError(f'{func} on the host')
        return results


def run(call: Callable[[], Any]) -> None:
    """Compute with fake tensors of a GPU."""
    with FakeTensorMode(allow_non_fake_inputs=True), ForbidHost():
        call()


def to_fake(x: Tensor) -> Tensor:
    return torch.empty_like(x, device='cuda')


def move(loss: InstanceMatchingLoss) -> None:
    """Memory and staged rows to a fake GPU; to be called with fake tensors."""
    for module in loss.modules():
        for name, buffer in module.named_buffers(recurse=False):
            module.register_buffer(name, to_fake(buffer))
    if isinstance(loss.table, ShardedLookupTable):
        loss.table.vectors = to_fake(loss.table.vectors)
    loss._staged = tree_map_only(Tensor, to_fake, loss._staged)


def staged(loss: InstanceMatchingLoss, pids: list[int]) -> InstanceMatchingLoss:
    """With rows to commit, on a fake GPU."""
    generator = torch.Generator().manual_seed(0)
    x = F.normalize(torch.randn(len(pids), DIM, generator=generator))
    loss(x, torch.tensor(pids, dtype=torch.int64), torch.linspace(0, 1, len(pids)))
    with FakeTensorMode(allow_non_fake_inputs=True):
        move(loss)
    return loss


@pytest.mark.parametrize('pids', [[0, 0, 1, -1, -2, 1, -1, 0], [2, 3], [-1] * 9, []])
@pytest.mark.parametrize('name', LOSSES)
def test_the_memory_is_written_without_a_look_at_it(name: str, pids: list[int]) -> None:
    loss = staged(LOSSES[name](PERSONS, PLACES, dim=DIM), pids)
    run(loss.commit)
    assert loss._staged is None
    assert 'queue_replaced' in loss._last_update
    assert loss.table.vectors.device.type == 'cuda'


@pytest.mark.parametrize('name', LOSSES)
def test_a_table_spread_over_processes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the collectives, whose sizes are those of the step."""
    monkeypatch.setattr(sharded_table, 'get_world_size', lambda: 2)
    monkeypatch.setattr(sharded_table, 'get_rank', lambda: 1)
    for collective in ('sum_of_statistics', 'largest_of_processes'):
        monkeypatch.setattr(sharded_table, collective, lambda values: values)
    loss = LOSSES[name](PERSONS, PLACES, dim=DIM, sharded=True)
    assert isinstance(loss.table, ShardedLookupTable)
    run(staged(loss, [0, 0, 1, -1, -2, 6, -1, 0]).commit)
    assert 'queue_replaced' in loss._last_update
    assert loss.table.vectors.device.type == 'cuda'


@pytest.mark.parametrize(
    'waits',
    [
        lambda x: bool(x[0] > 0),
        lambda x: x[0].item(),
        lambda x: x.tolist(),
        lambda x: x[x > 0],
        lambda x: torch.where(x > 0),
        lambda x: x.unique(),
        lambda x: x.cpu(),
        lambda x: x[0].cpu(),
        lambda x: x + torch.ones(3),
        lambda x: x[torch.tensor([0, 1])],
        lambda x: x.fill_(torch.tensor(1.0)),
        lambda x: torch.tensor(3, device=x.device),
    ],
)
def test_what_waits_is_noticed(waits: Callable[[Tensor], Any]) -> None:
    with FakeTensorMode():
        x = torch.empty(3, device='cuda')
    expected = (DataDependentOutputException, DynamicOutputShapeException, RuntimeError)
    with pytest.raises(expected):
        run(lambda: waits(x))
    run(lambda: torch.where(x > 0, x, 0.0).cumsum(0).sort())


def test_a_step_of_protonorm_asks_the_device_nothing() -> None:
    # Fake tensors have no values: whatever would wait for one raises.
    with FakeTensorMode():
        norm = ProtoNorm1d(4, affine=True)
        x = torch.randn(10, 4, requires_grad=True)
        with prototype_labels(norm, torch.zeros(10, dtype=torch.int64)):
            norm(x).sum().backward()
        assert x.grad.shape == x.shape
