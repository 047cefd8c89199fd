"""What a figure was measured on: a time means nothing without it."""

import argparse
import os
import platform
from pathlib import Path
from typing import Any

import torch


def default_device() -> torch.device:
    """A GPU where there is one, else the CPU."""
    return torch.device('cuda' if torch.cuda.is_available() else 'cpu')


def device_argument(name: str) -> torch.device:
    """The device of that name, as ``type`` of an argument of a command line.

    Raises:
        ArgumentTypeError: there is none.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f'{name!r} is no device: cpu, cuda or cuda:1') from error
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise argparse.ArgumentTypeError(f'{name}: PyTorch finds no GPU')
    return device


def describe_machine(device: torch.device) -> dict[str, Any]:
    """The machine as JSON: processor, threads, load, card and PyTorch's version.

    Args:
        device: what was measured on.

    Returns:
        ``device``, its name; ``torch``, a version; ``threads`` of PyTorch and ``cores``;
        ``load``, the mean number of processes that wanted a core in the last minute. Where it is
        above the threads, others were at work, too.
    """
    return dict(
        device=torch.cuda.get_device_name(device) if device.type == 'cuda' else _processor(),
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        cores=os.cpu_count(),
        load=round(os.getloadavg()[0], 1),
    )


def machine_line(machine: dict[str, Any]) -> str:
    """:func:`describe_machine` in one line, for below a table."""
    return (
        f'{machine["device"]}, PyTorch {machine["torch"]}, threads: {machine["threads"]} of '
        f'{machine["cores"]}, load average: {machine["load"]}'
    )


def _processor() -> str:
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()
