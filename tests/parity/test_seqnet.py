"""SeqNet: detections, embeddings, losses and gradients of the authors' implementation."""

from typing import Any

import pytest
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

from mmps.converters import seqnet_from_mmps, seqnet_to_mmps

METHOD = Method(
    config='seqnet_r50_prw',
    to_mmps=seqnet_to_mmps,
    from_mmps=seqnet_from_mmps,
    losses=dict(
        loss_proposal_cls='loss_cls1',
        loss_proposal_reg='loss_reg1',
        loss_box_cls='loss_cls2',
        loss_box_reg='loss_reg2',
        loss_box_reid='loss_reid',
        loss_rpn_reg='loss_rpn_bbox',
        loss_rpn_cls='loss_rpn_cls',
    ),
    weighted=True,
)


@pytest.fixture(scope='module')
def reference() -> Reference:
    return load_reference('seqnet')


@pytest.fixture(scope='module')
def checkpoint(reference: Reference, fixtures: Any) -> Checkpoint:
    return make_checkpoint(reference, fixtures)


@pytest.mark.parametrize('i', [0, 1])
def test_detections_and_embeddings(
    reference: Reference, fixtures: Any, checkpoint: Checkpoint, i: int
) -> None:
    check_detections(METHOD, checkpoint, reference, fixtures, i)


def test_losses_and_gradients(reference: Reference, fixtures: Any, checkpoint: Checkpoint) -> None:
    check_losses_and_gradients(METHOD, checkpoint, reference, fixtures)


def test_parameters_are_accounted_for(reference: Reference, checkpoint: Checkpoint) -> None:
    check_parameters(METHOD, checkpoint, reference, unread=16_400, total=48_418_735)


def test_round_trip_is_bit_for_bit(checkpoint: Checkpoint) -> None:
    check_round_trip(METHOD, checkpoint)
