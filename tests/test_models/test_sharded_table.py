"""A lookup table spread over processes: memory, traffic, checkpoints, and the edges of its parts.

That training with it is training with a whole one: test_many_processes.py.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from every_loss import LOSSES
from torch import Tensor

from mmps.benchmark import Traffic
from mmps.models import DOIMLoss, OIMLoss
from mmps.models.losses import LookupTable

DIM = 8
# The second table is ten times as large and so is the queue; the last step has twice the rows.
SIZES = {'small': (9, 10, 6), 'large': (90, 100, 6), 'rows': (9, 10, 12)}


def make_rows(number: int, persons: int, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Half of them of some of the first persons, the others persons without identity."""
    generator = torch.Generator().manual_seed(rank)
    x = F.normalize(torch.randn(number, DIM, generator=generator))
    pids = torch.randint(min(persons, 9), (number,), generator=generator)
    pids[number // 2 :] = -1
    return x.requires_grad_(), pids, torch.rand(number, generator=generator)


def traffic_of_a_step(name: str, size: str, rank: int, *, sharded: bool) -> int:
    persons, queue, rows = SIZES[size]
    loss = LOSSES[name](persons, queue, dim=DIM, sharded=sharded)
    with Traffic() as traffic:
        loss(*make_rows(rows, persons, rank)).backward()
        loss.commit()
    return traffic.received


def stated_traffic(name: str, size: str, world_size: int, *, sharded: bool) -> int:
    """By the docstrings of InstanceMatchingLoss and ShardedLookupTable."""
    rows = world_size * SIZES[size][2]
    labelled = others = rows // 2
    traffic = rows * (4 * DIM + 8) + 8 * world_size + 4
    smr = name in ('smr', 'doim')
    traffic += 4 * rows if name == 'loim' or (smr and not sharded) else 0
    if sharded:
        traffic += labelled * (8 * DIM + 36) + 8 * world_size
        if name in ('hea', 'doim'):
            traffic += persons_of(size, world_size) * (8 * DIM + 12) + 8 * labelled
        traffic += 4 * others if smr else 0
    return traffic


def persons_of(size: str, world_size: int) -> int:
    persons, _, rows = SIZES[size]
    pids = torch.cat([make_rows(rows, persons, rank)[1] for rank in range(world_size)])
    return len(pids[pids >= 0].unique())


def some_table(persons: int) -> Tensor:
    return F.normalize(torch.randn(persons, DIM, generator=torch.Generator().manual_seed(5)))


def tied_table() -> tuple[Tensor, Tensor, Tensor]:
    """Prototypes of 9 persons, 3 of which are as similar to a row; the row; its persons."""
    vectors = torch.zeros(9, DIM)
    vectors[[1, 4, 7], [1, 2, 3]] = 1
    row = F.normalize(torch.ones(3, DIM))
    return vectors, row, torch.tensor([0, 1, 4])


def error_of(function: Callable[[], Any], kind: type[Exception] = RuntimeError) -> str:
    with pytest.raises(kind) as error:
        function()
    return str(error.value)


def look(rank: int, world_size: int) -> dict[str, Any]:
    """What a process sees of spread tables."""
    seen: dict[str, Any] = {}
    seen['traffic'] = {
        (name, size, sharded): traffic_of_a_step(name, size, rank, sharded=sharded)
        for name, size, sharded in product(LOSSES, SIZES, [False, True])
    }

    loss = OIMLoss(90, 10, dim=DIM, sharded=True)
    seen['buffers'] = [name for name, _ in loss.named_buffers()]
    loss.load_state_dict(OIMLoss(90, 10, dim=DIM).state_dict() | {'table.vectors': some_table(90)})
    seen['part'] = loss.table.vectors
    with loss.table.whole():
        if rank == 0:
            seen['state'] = loss.state_dict()
    seen['not whole'] = error_of(loss.state_dict)
    other = OIMLoss(91, 10, dim=DIM).state_dict()
    seen['another size'] = error_of(lambda: loss.load_state_dict(other))
    del other['table.vectors']
    seen['missing'] = error_of(lambda: loss.load_state_dict(other))
    seen['moved'] = str(loss.double().table.vectors.dtype)

    table = OIMLoss(9, 0, dim=DIM, sharded=True).table
    vectors, x, pids = tied_table()
    table.load_state_dict({'vectors': vectors})
    seen['tied'] = table.nearest_other(x, pids)
    table.load_state_dict({'vectors': torch.zeros(9, DIM)})
    seen['nobody'] = table.nearest_other(x, pids)

    loss = DOIMLoss(9, 10, dim=DIM, sharded=True)
    x, pids, _ = make_rows(6, 9, rank)
    for pid in (9, 18):
        pids[2] = pid
        seen['beyond', pid] = error_of(partial(loss, x, pids.clone()), ValueError)
    loss(*make_rows(6, 9, rank))
    loss.commit()
    seen['before'] = loss.table.vectors.clone()
    x, pids, _ = make_rows(6, 9, rank)
    pids[:] = -1
    value = loss(x, pids)
    value.backward()
    seen['unlabelled'] = [value.detach(), x.grad]
    loss.commit()
    for step, number in enumerate((0, 2)):
        # Without any row in any process; then one of the first process is not finite.
        x, pids, _ = make_rows(number, 9, rank + step)
        x = x * (float('nan') if rank == 0 else 1)
        value = loss(x, pids)
        value.backward()
        seen[f'{number} rows'] = value.detach()
        loss.commit()
    seen['after'] = loss.table.vectors
    loss.eval()
    seen['evaluated'] = loss(*make_rows(rank, 9, rank)).detach()
    with loss.table.whole():
        seen['evaluated with'] = loss.state_dict() if rank == 0 else None
    return seen


def run_process(rank: int, world_size: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=world_size
    )
    torch.save(look(rank, world_size), f'{folder}/{rank}.pt')
    dist.destroy_process_group()


@pytest.fixture(scope='module', params=[2, 4])
def seen(request, tmp_path_factory) -> list[dict[str, Any]]:
    """What each process saw."""
    folder: Path = tmp_path_factory.mktemp(f'sharded{request.param}')
    mp.set_forkserver_preload(['mmps.models'])
    mp.start_processes(
        run_process, (request.param, str(folder)), nprocs=request.param, start_method='forkserver'
    )
    return [torch.load(folder / f'{rank}.pt') for rank in range(request.param)]


@pytest.mark.parametrize('sharded', [False, True])
@pytest.mark.parametrize('name', LOSSES)
def test_traffic_is_as_stated_whatever_the_size_of_the_memory(seen, name, sharded) -> None:
    for rank in seen:
        measured = {size: rank['traffic'][name, size, sharded] for size in SIZES}
        assert measured['small'] == measured['large']
        expected = {size: stated_traffic(name, size, len(seen), sharded=sharded) for size in SIZES}
        assert measured == expected


def test_a_process_holds_its_part_alone(seen) -> None:
    whole, size = some_table(90), -(-90 // len(seen))
    for number, rank in enumerate(seen):
        part = rank['part']
        assert part.untyped_storage().nbytes() == 4 * (size + 1) * DIM
        assert rank['buffers'] == ['queue.vectors', 'queue.head']
        persons = whole[number * size : (number + 1) * size]
        assert torch.equal(part[: len(persons)], persons)
        assert not part[len(persons) :].any()
        assert rank['moved'] == 'torch.float64'


def test_state_is_that_of_a_whole_table(seen) -> None:
    state = seen[0]['state']
    loss = OIMLoss(90, 10, dim=DIM)
    assert list(state) == list(loss.state_dict())
    assert torch.equal(state['table.vectors'], some_table(90))
    loss.load_state_dict(state)
    for rank in seen:
        assert 'train with mmps.MemoryHook' in rank['not whole']
        message = f'size mismatch for table.vectors: (91, {DIM}) in the checkpoint, (90, {DIM})'
        assert message in rank['another size']
        assert 'Missing key(s) in state_dict: "table.vectors"' in rank['missing']


def test_of_equal_prototypes_the_first_counts(seen) -> None:
    vectors, x, pids = tied_table()
    table = LookupTable(9, DIM)
    expected = table.nearest_other(x, pids)
    assert expected[0].isneginf().all()
    for rank in seen:
        assert all(map(torch.equal, rank['nobody'], expected))
    table.vectors.copy_(vectors)
    expected = table.nearest_other(x, pids)
    assert expected[1].argmax(dim=1).tolist() == [1, 2, 1]
    for rank in seen:
        assert all(map(torch.equal, rank['tied'], expected))


@pytest.mark.parametrize('pid', [9, 18])
def test_a_person_without_place_is_named(seen, pid: int) -> None:
    for rank in seen:
        assert f'num_persons=9, but a label is {pid}: labels are' in rank['beyond', pid]


def test_steps_that_teach_nothing(seen) -> None:
    for rank in seen:
        assert rank['before'].any() == (rank is not seen[-1] or len(seen) == 2)
        assert torch.equal(rank['after'], rank['before'])
        value, gradient = rank['unlabelled']
        assert value == 0
        assert not gradient.any()
        assert rank['0 rows'] == 0
        assert rank['2 rows'].isnan()


def test_evaluation_is_of_the_own_rows(seen) -> None:
    loss = DOIMLoss(9, 10, dim=DIM).eval()
    loss.load_state_dict(seen[0]['evaluated with'])
    for number, rank in enumerate(seen):
        expected = loss(*make_rows(number, 9, number))
        torch.testing.assert_close(rank['evaluated'], expected.detach())
