"""How costs grow: measured where they fit, continued beyond along the line through the measured."""

import ctypes
import math
import mmap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls

from mmps.models import InstanceMatchingLoss

from .searches import make_prw
from .timing import seconds
from .traffic import person_rows

CPU = torch.device('cpu')
Row = dict[str, Any]
"""What something costs, and the size at which that was measured."""


def power(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The exponent p of ``value ~ size^p`` that fits best, by least squares of logarithms.

    Raises:
        ValueError: there are fewer than two sizes.
    """
    if len(set(sizes)) < 2:
        raise ValueError(f'growth takes at least two sizes, not {sorted(set(sizes))}')
    xs, ys = [math.log(size) for size in sizes], [math.log(value) for value in values]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    covariance = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return covariance / sum((x - x_mean) ** 2 for x in xs)


def continued(sizes: Sequence[float], values: Sequence[float], size: float) -> float:
    """The value at another size of ``fixed + a * size``, fitted to relative errors.

    Neither share is negative: no cost shrinks as a size grows, but for noise.
    """
    columns = np.stack([np.ones(len(sizes)), np.asarray(sizes, float)], axis=1)
    shares, _ = nnls(columns / np.asarray(values, float)[:, None], np.ones(len(sizes)))
    return float(shares @ [1.0, size])


def grown(rows: Sequence[Row], size: str, target: int, costs: Sequence[str]) -> list[Row]:
    """Continue costs to another size.

    Times scatter, and are continued from all rows. Bytes do not, but in small rows what the first
    step of a process loads and what malloc keeps back weighs most: the two largest count.

    Args:
        rows: at least two, of different sizes.
        size: key of a row's size.
        target: the size to continue to.
        costs: keys of what to continue; names of bytes end in ``_bytes``.

    Returns:
        The rows by size, and one more at ``target`` with :func:`continued` costs; its ``growth``
        has the :func:`power` of each.
    """
    rows = sorted(rows, key=lambda row: row[size])
    sizes = [row[size] for row in rows]
    end: Row = {size: target, 'growth': {}}
    for cost in costs:
        values = [row[cost] for row in rows]
        first = -2 if cost.endswith('_bytes') else 0
        end[cost] = continued(sizes[first:], values[first:], target)
        end['growth'][cost] = power(sizes, values)
    return [*rows, end]


def peak_bytes(work: Callable[[], Any]) -> int:
    """By how many bytes the memory of this process grows at most during a call; Linux alone.

    To the page, of which it is at least one.
    """
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before would be used again, and not count
    Path('/proc/self/clear_refs').write_text('5')  # makes the kernel forget the peak so far
    before = _status('VmRSS')
    work()
    return max(_status('VmHWM') - before, mmap.PAGESIZE)


def _status(name: str) -> int:
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{name}:'):
            return 1024 * int(line.split()[1])
    raise OSError(f'/proc/self/status has no {name}')


def measure_step(
    make_loss: Callable[..., InstanceMatchingLoss],
    *,
    persons: int,
    rows: int,
    queue: int,
    dim: int,
    repeats: int,
) -> dict[str, float]:
    """What a step of a memory loss costs one process, on a CPU.

    Args:
        make_loss: a class of losses.
        persons: L; the table is full.
        rows: B, half of different labelled persons, the others without identity.
        queue: Q.
        dim: D.
        repeats: steps that are timed.

    Returns:
        ``table_bytes``; ``step_bytes``, by how much memory grows at most during a step;
        ``loss_seconds``, the shortest of loss and gradients, ``update_seconds``, of the update.
    """
    loss = make_loss(persons, queue, dim=dim)
    generator = torch.Generator().manual_seed(0)
    loss.table.vectors.normal_(generator=generator)
    loss.table.vectors.div_(loss.table.vectors.norm(dim=1, keepdim=True))
    x, pids = person_rows(rows, persons, dim)

    def forward_and_back() -> None:
        loss(x, pids).backward()

    def step() -> None:
        forward_and_back()
        loss.commit()

    peak = peak_bytes(step)
    times, updates = [], []
    for _ in range(repeats):
        times.append(seconds(forward_and_back, CPU))
        updates.append(seconds(loss.commit, CPU))
    return dict(
        table_bytes=loss.table.vectors.nbytes,
        step_bytes=peak,
        loss_seconds=min(times),
        update_seconds=min(updates),
    )


def measure_search(*, detections: int, queries: int, dim: int) -> dict[str, float]:
    """What the evaluation of a search in a made-up gallery costs.

    Args:
        detections: in 7 a frame.
        queries: how many.
        dim: D.

    Returns:
        ``given_bytes`` of boxes, scores and embeddings; ``more_bytes``, by how much memory grows
        at most; ``seconds``.
    """
    search = make_prw(
        detections,
        dim=dim,
        seed=0,
        num_queries=queries,
        num_images=detections // 7 + 1,
        num_persons=detections // 90 + 1,
    )

    more = peak_bytes(search.run)
    return dict(
        given_bytes=sum(array.nbytes for array in search.arrays.values()),
        more_bytes=more,
        seconds=seconds(search.run, CPU),
    )
