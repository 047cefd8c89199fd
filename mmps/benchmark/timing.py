"""How long something takes, on a CPU or on a GPU."""

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_PACKAGE = Path(__file__).parents[1]


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], Any], device: torch.device) -> float:
    """How long a call takes until the device is done with it."""
    synchronize(device)
    start = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - start


def waits_for_device(call: Callable[[], Any]) -> str:
    """Where a call makes the host wait for the GPU.

    Returns:
        File, number and text of the line of mmps that is the first to wait; empty where none does.
    """
    torch.cuda.set_sync_debug_mode('error')
    try:
        call()
    except RuntimeError as error:
        if 'synchroniz' not in str(error):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        last = [frame for frame in frames if _PACKAGE in Path(frame.filename).parents][-1]
        return f'{Path(last.filename).relative_to(_PACKAGE)}:{last.lineno}: {last.line}'
    finally:
        torch.cuda.set_sync_debug_mode('default')
    return ''
