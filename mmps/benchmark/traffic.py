"""What a step of a memory loss moves between processes, counted."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmps.models import InstanceMatchingLoss


class Traffic(TorchDispatchMode):
    """Counts the bytes of what collectives give to this process, also while gradients flow.

    Attributes:
        received: bytes so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.received = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and count it if it is a collective."""
        if func.namespace == 'c10d':
            # Outputs are the first argument of all of them; what is reduced is in place.
            self.received += sum(t.nbytes for t in tree_leaves(args[0]) if isinstance(t, Tensor))
        return func(*args, **(kwargs or {}))


LossOf = Callable[..., InstanceMatchingLoss]


def count_traffic(
    make_loss: LossOf, *, processes: int, rows: list[int], persons: int, dim: int
) -> dict[tuple[bool, int], int]:
    """Bytes that a process receives in a step, of some numbers of rows, over gloo.

    Args:
        make_loss: a class of losses.
        processes: how many there are.
        rows: of each process, half of them of different labelled persons, the others without
            identity.
        persons: L.
        dim: D.

    Returns:
        Bytes by whether the table is spread, and rows.
    """
    with tempfile.TemporaryDirectory() as folder:
        mp.set_forkserver_preload(['mmps.models'])
        mp.start_processes(
            _count,
            (folder, processes, make_loss, rows, persons, dim),
            nprocs=processes,
            start_method='forkserver',
        )
        counted: dict[tuple[bool, int], int] = torch.load(Path(folder, 'counted.pt'))
    return counted


def _count(
    rank: int,
    folder: str,
    processes: int,
    make_loss: LossOf,
    rows: list[int],
    persons: int,
    dim: int,
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=processes
    )
    counted = {}
    for sharded in (False, True):
        for number in rows:
            loss = make_loss(persons, 10, dim=dim, sharded=sharded)
            x, pids = person_rows(number, persons, dim, first=rank * number // 2)
            with Traffic() as traffic:
                loss(x, pids).backward()
                loss.commit()
            counted[sharded, number] = traffic.received
    if rank == 0:
        torch.save(counted, Path(folder, 'counted.pt'))
    dist.destroy_process_group()


def person_rows(number: int, persons: int, dim: int, *, first: int = 0) -> tuple[Tensor, Tensor]:
    """Rows (B, D) that need gradients, and pids (B,): half labelled persons from ``first`` on."""
    x = F.normalize(torch.randn(number, dim, generator=torch.Generator().manual_seed(first)))
    pids = torch.full((number,), -1)
    pids[: number // 2] = (first + torch.arange(number // 2)) % persons
    return x.requires_grad_(), pids
