"""N processes with b rows each are one process with N b: memories, ProtoNorm, losses, gradients."""

from itertools import product
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from every_loss import LOSSES
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmps.models import (
    InstanceMatchingLoss,
    ProtoNorm1d,
    ProtoNorm2d,
    prototype_labels,
)
from mmps.models.losses import ShardedLookupTable

# Spread over 4 processes, the table has 3 persons in each and none in the last.
STEPS, PERSONS, QUEUE, CHANNELS, DIM = 20, 9, 10, 6, 5


# Whether the table is spread; DOIM is HEA and SMR.
CASES = [*product(LOSSES, [False]), *product(['oim', 'loim', 'doim'], [True])]


class Embedder(nn.Module):
    """Maps of RoIs -> ProtoNorm2d -> Linear -> ProtoNorm1d -> one of the losses."""

    def __init__(self, loss: InstanceMatchingLoss) -> None:
        super().__init__()
        self.maps = ProtoNorm2d(CHANNELS, affine=True)
        self.linear = nn.Linear(CHANNELS, DIM)
        self.rows = ProtoNorm1d(DIM)
        self.loss = loss

    def forward(self, x: Tensor, pids: Tensor, ious: Tensor) -> Tensor:
        with prototype_labels(self, pids):
            embeddings = self.rows(self.linear(self.maps(x).mean(dim=(2, 3))))
        return self.loss(F.normalize(embeddings), pids, ious)


def make_step(step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of all processes: maps (B, C, 3, 2), pids (B,), IoUs (B,)."""
    looks = torch.randn(PERSONS + 2, CHANNELS, 1, 1, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(step)
    rows = 24
    pids = torch.randint(-2, PERSONS, (rows,), generator=generator)
    if step % 2:  # a process can have rows of which none is labelled
        pids[17:].clamp_(max=-1)
    x = looks[pids] + torch.randn(rows, CHANNELS, 3, 2, generator=generator)
    return x, pids, torch.rand(rows, generator=generator)


def shares(step: int, world_size: int) -> list[int]:
    """How many rows each process has: unequal, and from time to time none at all."""
    if world_size == 1:
        return [24]
    sizes = {2: [[17, 7], [0, 24], [12, 12]], 4: [[3, 11, 0, 10], [6, 6, 6, 6], [0, 0, 23, 1]]}
    return sizes[world_size][step % 3]


def own_rows(step: int, rank: int, world_size: int) -> slice:
    return slice(*torch.tensor([0, *shares(step, world_size)]).cumsum(0)[rank : rank + 2])


def train(name: str, rank: int, world_size: int, *, sharded: bool = False) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model = Embedder(LOSSES[name](PERSONS, QUEUE, dim=DIM, sharded=sharded))
    trained: nn.Module = model
    if world_size > 1:
        trained = DistributedDataParallel(model, broadcast_buffers=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.002)
    losses, gradients = [], []
    for step in range(STEPS):
        own = own_rows(step, rank, world_size)
        x, pids, ious = make_step(step)
        loss = trained(x[own], pids[own], ious[own])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    model.loss.commit()
    return whole_state(model, rank) | dict(
        losses=torch.stack(losses),
        gradients=torch.stack(gradients),
        statistics=torch.tensor(list(model.loss.statistics().values())),
    )


def whole_state(model: Embedder, rank: int) -> dict[str, Tensor]:
    """Of a spread table, the first process has the whole and the others nothing."""
    if not isinstance(model.loss.table, ShardedLookupTable):
        return {key: value.clone() for key, value in model.state_dict().items()}
    with model.loss.table.whole():
        if rank == 0:
            return {key: value.clone() for key, value in model.state_dict().items()}
    return dict(model.named_parameters()) | dict(model.named_buffers())


def run_process(rank: int, world_size: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=world_size
    )
    for name, sharded in CASES:
        result = train(name, rank, world_size, sharded=sharded)
        torch.save(result, f'{folder}/{name}_{sharded}_{rank}.pt')
    dist.destroy_process_group()


@pytest.fixture(scope='module', params=[2, 4])
def processes(request, tmp_path_factory) -> tuple[int, Path]:
    """Number of processes, and the folder of what each of them ended with."""
    folder = tmp_path_factory.mktemp(f'processes{request.param}')
    # All fork from one server, so that the stack is imported once.
    mp.set_forkserver_preload(['mmps.models'])
    mp.start_processes(
        run_process,
        (request.param, str(folder)),
        nprocs=request.param,
        start_method='forkserver',
    )
    return request.param, folder


@pytest.mark.parametrize('world_size', [2, 4])
def test_steps_have_what_processes_can_lack(world_size: int) -> None:
    without_rows, without_labelled = [], []
    for step, rank in product(range(STEPS), range(world_size)):
        pids = make_step(step)[1]
        own = pids[own_rows(step, rank, world_size)]
        if len(own) == 0:
            without_rows.append((step, rank))
        elif (own < 0).all() and (pids >= 0).any():
            without_labelled.append((step, rank))
    assert len(without_rows) >= 6
    assert len(without_labelled) >= 3, without_labelled


@pytest.mark.parametrize(('name', 'sharded'), CASES)
def test_many_processes_train_as_one(processes, name: str, sharded: bool) -> None:
    world_size, folder = processes
    expected = train(name, 0, 1)
    assert expected['losses'].std() > 0.01
    for rank in range(world_size):
        result = torch.load(folder / f'{name}_{sharded}_{rank}.pt', weights_only=True)
        elsewhere = {'loss.table.vectors'} if sharded and rank > 0 else set()
        assert result.keys() == expected.keys() - elsewhere
        for key in result:
            error = (result[key] - expected[key]).abs().max()
            assert error <= 1e-5 * max(1, expected[key].abs().max()), key
