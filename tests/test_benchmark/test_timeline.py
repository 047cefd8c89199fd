"""Which part gets which time, by a clock that only moves when something works."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmps.benchmark import BACKWARD, FORWARD, OTHER, Timeline, timeline

CPU = torch.device('cpu')


class Clock:
    """Stands still but for :meth:`work`."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timeline, 'time', clock)
    return clock


class Work(torch.autograd.Function):
    """The identity, which takes its time forward and backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, clock: Clock, forward: float, backward: float) -> Tensor:
        ctx.clock, ctx.backward_time = clock, backward
        clock.work(forward)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:
        ctx.clock.work(ctx.backward_time)
        return g, None, None, None


class Detector:
    """As in a two-stage detector: two heads on the same features, each with a loss of its own."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def _work(self, x: Tensor, forward: float, backward: float) -> Tensor:
        return Work.apply(x, self.clock, forward, backward)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self._work(x, 1, 2),)

    def head(self, x: Tensor) -> dict[str, list[Tensor]]:
        return dict(scores=[self._work(x, 3, 5)], boxes=[self._work(x, 7, 11)])

    def second(self, x: Tensor) -> Tensor:
        return self.select(self._work(x, 13, 17))

    def select(self, x: Tensor) -> Tensor:
        self.clock.work(19)
        return x

    def loss(self, x: Tensor) -> Tensor:
        return self._work(x, 23, 29).sum()

    def step(self) -> None:
        (x,) = self.features(torch.ones(2, requires_grad=True))
        outputs = self.head(x)
        losses = [self.loss(outputs['scores'][0]), self.loss(outputs['boxes'][0])]
        self.clock.work(31)
        losses.append(self.loss(self.second(x)))
        self.backward(losses)

    def backward(self, losses: list[Tensor]) -> None:
        torch.stack(losses).sum().backward()


def test_every_part_gets_its_own_time(clock: Clock) -> None:
    detector, line = Detector(clock), Timeline(CPU)
    for method in ('features', 'head', 'second', 'select', 'loss'):
        line.watch(detector, method, method)
    line.watch(detector, 'backward', 'loss', BACKWARD)
    for _ in range(2):
        with line.step() as seconds:
            detector.step()
        assert {key: value for key, value in seconds.items() if value} == {
            ('features', FORWARD): 1,
            ('features', BACKWARD): 2,
            ('head', FORWARD): 3 + 7,
            ('head', BACKWARD): 5 + 11,
            ('second', FORWARD): 13,
            # What is called within a part and gives back what it got is no part in the backward
            # pass: the gradient is that of the outer part's output.
            ('second', BACKWARD): 17,
            ('select', FORWARD): 19,
            ('loss', FORWARD): 3 * 23,
            ('loss', BACKWARD): 3 * 29,
            (OTHER, FORWARD): 31,
        }


def test_methods_are_given_back(clock: Clock) -> None:
    detector, line = Detector(clock), Timeline(CPU)
    line.watch(detector, 'loss', 'loss')
    assert 'loss' in vars(detector)
    line.release()
    assert 'loss' not in vars(detector)
    with line.step() as seconds:
        detector.loss(torch.ones(2))
    assert seconds == {(OTHER, FORWARD): 23}


def test_an_error_ends_the_parts_that_it_leaves(clock: Clock) -> None:
    line = Timeline(CPU)

    def fails() -> None:
        with line.part('inner'):
            clock.work(2)
            raise KeyError

    with line.step() as seconds, line.part('outer'):
        with pytest.raises(KeyError):
            fails()
        clock.work(3)
    assert seconds[('inner', FORWARD)] == 2
    assert seconds[('outer', FORWARD)] == 3


def test_nothing_is_watched_without_gradients(clock: Clock) -> None:
    detector, line = Detector(clock), Timeline(CPU)
    line.watch(detector, 'head', 'head')
    with torch.no_grad(), line.step() as seconds:
        outputs = detector.head(torch.ones(2))
    assert seconds[('head', FORWARD)] == 10
    assert not outputs['boxes'][0].requires_grad
