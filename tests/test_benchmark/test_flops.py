"""FLOPs, counted by hand."""

import argparse

import pytest
import torch
from torch import nn

from mmps.benchmark import count_flops, flop_rate
from mmps.benchmark.arguments import peak_argument

IMAGES, CLASSES = 2, 7
CONV = 2 * IMAGES * (8 * 6) * 4 * (3 * 3 * 3)  # places, channels, inputs of each; twice
LINEAR = 2 * IMAGES * 4 * CLASSES


def make_model() -> nn.Sequential:
    pool = nn.AdaptiveMaxPool2d(1)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), pool, nn.Flatten(), nn.Linear(4, CLASSES)
    )


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_forward_and_backward(dtype: torch.dtype) -> None:
    model = make_model()
    images = torch.randn(IMAGES, 3, 8, 6)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast('cpu', dtype=dtype, enabled=dtype != torch.float32):
            loss = model(images).square().sum()
        loss.backward()
        optimiser.step()

    with torch.no_grad():
        assert count_flops(lambda: model(images)) == CONV + LINEAR
    # Gradients of both weights and of what the linear layer gets; images need none.
    assert count_flops(step) == 2 * CONV + 3 * LINEAR
    # What is frozen takes no backward pass.
    model[:2].requires_grad_(False)
    assert count_flops(step) == CONV + 2 * LINEAR


def test_rate_and_share_of_the_peak() -> None:
    assert flop_rate(6 * 10**12, 0.5) == dict(tflop=6.0, tflops=12.0)
    assert flop_rate(6 * 10**12, 0.5, 48.0)['peak_share'] == 0.25


def test_a_peak_is_above_0() -> None:
    assert peak_argument('989.5') == 989.5
    for text in ('0', '-1', 'nan', 'inf', 'H200'):
        with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is no number above 0"):
            peak_argument(text)
