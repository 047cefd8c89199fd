"""How many FLOPs a step takes, and what share of a device's peak that is."""

from collections.abc import Callable
from typing import Any

from torch.utils.flop_counter import FlopCounterMode


def count_flops(work: Callable[[], Any]) -> int:
    """The FLOPs of a call, of its backward pass too where it has one.

    Matrix products, convolutions and attention count, at the sizes that they really have; a
    multiply-add is two FLOPs, as in the peaks that vendors state. ``get_flops.py`` counts one, as
    papers do, so that these are twice its figure for the same boxes, less what it counts for
    normalisation. Nothing else counts: no RoIAlign, NMS or activations, which take time without
    FLOPs.

    Args:
        work: runs without ``torch.compile``, whose kernels would not be seen.
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def flop_rate(flops: int, seconds: float, peak_tflops: float | None = None) -> dict[str, float]:
    """How fast FLOPs are done.

    Args:
        flops: of a step.
        seconds: that it takes.
        peak_tflops: what the device can do, 10^12 FLOPs a second.

    Returns:
        ``tflop``: 10^12 FLOPs a step; ``tflops``: as many a second; ``peak_share``, 0 to 1: of the
        peak, if that is given.
    """
    rate = dict(tflop=flops / 1e12, tflops=flops / seconds / 1e12)
    if peak_tflops is not None:
        rate['peak_share'] = rate['tflops'] / peak_tflops
    return rate
