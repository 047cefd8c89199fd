"""Where the time of a step goes: which part works from when to when, forward and backward."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from .timing import synchronize

FORWARD, BACKWARD = 'forward', 'backward'
OTHER = 'other'
"""What belongs to no part that was named."""


class Timeline:
    """Marks of when which part begins; the time up to the next mark is that part's.

    One part works at a time, so that the parts of a step sum to its time. A part called within
    another interrupts it. The backward pass of a part begins where the gradients of its outputs
    are complete: autograd works on the operations of one part after those of another.

    Times are those of the device: on a GPU the marks are events in its stream, and
    nothing waits for them before the end of the step.

    Args:
        device: where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[tuple[Any, tuple[str, str]]] = []
        self._open: list[tuple[str, str]] = []
        self._wrapped: list[tuple[Any, str]] = []

    @contextmanager
    def step(self) -> Iterator[dict[tuple[str, str], float]]:
        """A step; the dict holds the seconds of each (part, phase) when it ends."""
        seconds: dict[tuple[str, str], float] = defaultdict(float)
        synchronize(self._device)
        self._marks.clear()
        with self.part(OTHER):
            yield seconds
        synchronize(self._device)
        for (start, key), (end, _) in zip(self._marks, self._marks[1:], strict=False):
            seconds[key] += _between(start, end)

    @contextmanager
    def part(self, name: str, phase: str = FORWARD) -> Iterator[None]:
        """What happens within is a part's."""
        self._open.append((name, phase))
        self._mark(self._open[-1])
        try:
            yield
        finally:
            ended = self._open.pop()
            self._mark(self._open[-1] if self._open else ended)

    def watch(self, owner: Any, method: str, name: str, phase: str = FORWARD) -> None:
        """Count every call of a method of an object, and its backward pass, as a part's.

        The object's own attribute hides the method of its class until :meth:`release`; of a
        module, watch ``forward``.
        """
        original = getattr(owner, method)

        def watched(*args: Any, **kwargs: Any) -> Any:
            with self.part(name, phase):
                outputs = original(*args, **kwargs)
            for tensor in _tensors(outputs):
                if tensor.requires_grad:
                    tensor.register_hook(self._marker(name))
            return outputs

        setattr(owner, method, watched)
        self._wrapped.append((owner, method))

    def release(self) -> None:
        """Give all objects their own methods back."""
        for owner, method in self._wrapped:
            delattr(owner, method)
        self._wrapped.clear()

    def _marker(self, name: str) -> Callable[[Tensor], None]:
        return lambda _: self._mark((name, BACKWARD))

    def _mark(self, key: tuple[str, str]) -> None:
        now: Any
        if self._device.type == 'cuda':
            now = torch.cuda.Event(enable_timing=True)
            now.record()
        else:
            now = time.perf_counter()
        self._marks.append((now, key))


def _between(start: Any, end: Any) -> float:
    return float(end - start if isinstance(start, float) else start.elapsed_time(end) / 1e3)


def _tensors(outputs: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and dicts."""
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, dict):
        yield from _tensors(list(outputs.values()))
    elif isinstance(outputs, (list, tuple)):
        for output in outputs:
            yield from _tensors(output)
