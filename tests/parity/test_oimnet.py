"""OIMNet, OIMNet++ and OIMNet+++ against the authors' implementation."""

from typing import Any

import pytest
import torch
from references import Reference, load_reference
from whole_models import (
    Checkpoint,
    Method,
    check_detections,
    check_losses_and_gradients,
    check_parameters,
    check_round_trip,
    make_checkpoint,
)

from mmps.converters import oimnet_from_mmps, oimnet_to_mmps

CONFIGS = dict(
    oimnet='oim_r50_prw',
    oimnetplusplus='oimnetpp_r50_prw',
    oimnetplusplusplus='oimnetppp_r50_prw',
)
# Never read: a second res5, a second predictor, and the background's box regressor.
RES5 = 14_964_736
PREDICTOR = 2 * (2048 + 1) + 8 * (2048 + 1)
BACKGROUND = 4 * (2048 + 1)


@pytest.fixture(scope='module', params=CONFIGS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope='module')
def method(name: str) -> Method:
    return Method(
        config=CONFIGS[name],
        to_mmps=oimnet_to_mmps,
        from_mmps=oimnet_from_mmps,
        losses=dict(
            loss_proposal_cls='loss_cls',
            loss_proposal_reg='loss_reg',
            loss_box_reid='loss_reid',
            loss_rpn_reg='loss_rpn_bbox',
            loss_rpn_cls='loss_rpn_cls',
        ),
        weighted=False,
    )


@pytest.fixture(scope='module')
def reference(name: str) -> Reference:
    return load_reference(name)


@pytest.fixture(scope='module')
def checkpoint(reference: Reference, fixtures: Any) -> Checkpoint:
    return make_checkpoint(reference, fixtures)


@pytest.mark.parametrize('i', [0, 1])
def test_detections_and_embeddings(
    method: Method, reference: Reference, fixtures: Any, checkpoint: Checkpoint, i: int
) -> None:
    check_detections(method, checkpoint, reference, fixtures, i)


def test_losses_and_gradients(
    method: Method, reference: Reference, fixtures: Any, checkpoint: Checkpoint
) -> None:
    check_losses_and_gradients(method, checkpoint, reference, fixtures)


def test_parameters_are_accounted_for(
    method: Method, reference: Reference, checkpoint: Checkpoint
) -> None:
    unread = RES5 + PREDICTOR + BACKGROUND
    check_parameters(method, checkpoint, reference, unread=unread, total=48_522_369)


def test_round_trip_is_bit_for_bit(method: Method, checkpoint: Checkpoint) -> None:
    check_round_trip(method, checkpoint)


def test_memory_in_half_precision(method: Method, checkpoint: Checkpoint) -> None:
    memory = ('roi_heads.reid_loss.lut', 'roi_heads.reid_loss.cq')
    half = checkpoint | {key: checkpoint[key].half() for key in memory}
    converted = oimnet_to_mmps(half)
    back = oimnet_from_mmps(converted.state_dict)
    for key, ours in zip(memory, ('table.vectors', 'queue.vectors'), strict=True):
        value = converted.state_dict[f'roi_head.loss_reid.{ours}']
        assert value.dtype == torch.float32
        assert torch.equal(value, half[key].float())
        assert torch.equal(back[key].half(), half[key])
