"""The same work done in several ways, in turns, so that what else a machine does hits all alike."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch

from .timing import seconds


def compare(
    ways: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    device: torch.device,
) -> dict[str, dict[str, float]]:
    """Time every way once a round.

    Args:
        ways: functions that do the work, by name; the first is what the others are compared with.
        rounds: how many.
        device: where they work.

    Returns:
        For each way ``ms``, the median of its time, and ``ratio``, by how much it is faster than
        the first one, the median over rounds; on a CPU also ``cpu_ratio``, that of the processor
        time of all threads, which other processes disturb less.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    cpu_times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            cpu = time.process_time()
            times[name].append(seconds(work, device))
            cpu_times[name].append(time.process_time() - cpu)
    first = next(iter(ways))
    report = {}
    for name in ways:
        report[name] = dict(ms=1e3 * median(times[name]), ratio=_ratio(times[first], times[name]))
        if device.type == 'cpu':
            report[name]['cpu_ratio'] = _ratio(cpu_times[first], cpu_times[name])
    return report


def _ratio(reference: list[float], times: list[float]) -> float:
    return median(a / b for a, b in zip(reference, times, strict=True))
