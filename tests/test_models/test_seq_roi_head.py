"""What the RoI head does with boxes, scores and identities."""

import numpy as np
import pytest
import torch
from mmdet.models.task_modules import AssignResult, SamplingResult
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from small_models import Recorder, build_model, in_every_selection, make_batch

from mmps.models import RoIStage
from mmps.models.nms import batched_nms
from mmps.models.roi_heads.proposals import sampled_ious, sampled_pids, select_detections

NMS_TYPES = ('torchvision_nms', 'nms')
# Whatever stage 1 finds stays, so that scores can be told apart one by one.
KEEP_ALL = in_every_selection(
    'seqxt_convnext_b_prw', score_thr=-1.0, min_size=-1.0, nms__iou_threshold=1.0
)


@pytest.mark.parametrize('fcs', [True, False])
def test_score_is_of_the_first_or_the_second_stage(fcs: bool) -> None:
    model = build_model('seqxt_convnext_b_prw', test_cfg__rcnn__fcs=fcs, **KEEP_ALL).eval()
    head = model.roi_head
    head.detect, head.reidentify = Recorder(head.detect), Recorder(head.reidentify)
    batch = make_batch([0, 1])
    del batch['data_samples'][0].query_instances
    with torch.no_grad():
        (sample,) = model.test_step(batch)
    ((scores, _),) = head.detect.results
    ((embeddings, logits, _),) = head.reidentify.results
    found = sample.pred_instances
    assert len(found) == len(scores) > 5
    # Person is class 0 of MMDet. Stage 2 gets its boxes by descending score of stage 1.
    first = scores.softmax(dim=1)[:, 0].sort(descending=True).values
    if fcs:
        torch.testing.assert_close(found.scores, first)
        torch.testing.assert_close(found.embeddings, embeddings)
    else:
        order = logits.argsort(descending=True)
        torch.testing.assert_close(found.scores, logits[order].sigmoid())
        torch.testing.assert_close(found.embeddings, embeddings[order])


def test_second_stage_samples_refined_boxes_without_gradient() -> None:
    model = build_model('seqxt_convnext_b_prw').train()
    head = model.roi_head
    # Deltas that move every box by a twentieth of its size, and widen nothing.
    torch.nn.init.zeros_(head.bbox_head.fc_reg.weight)
    head.bbox_head.fc_reg.bias.data = torch.tensor([0.5, 0.5, 0.0, 0.0])
    head.detect, head.reidentify = Recorder(head.detect), Recorder(head.reidentify)
    batch = make_batch([0, 1])
    data = model.data_preprocessor(batch, training=True)
    model.loss(data['inputs'], data['data_samples'])
    ((_, (first,)),), ((_, (second,)),) = head.detect.arguments, head.reidentify.arguments
    assert not second.requires_grad
    sizes = first[:, 2:] - first[:, :2]
    moved = first + 0.05 * torch.cat([sizes, sizes], dim=1)
    moved = torch.minimum(moved, torch.tensor([160.0, 96, 160, 96]))
    persons = batch['data_samples'][0].gt_instances.bboxes
    allowed = torch.cat([moved, persons])
    assert (torch.cdist(second, allowed).min(dim=1).values < 1e-3).all()
    assert (torch.cdist(second, moved).min(dim=1).values < 1e-3).sum() > 5
    for person in persons:
        assert (second == person).all(dim=1).any()


@pytest.mark.parametrize('pooling', ['max', 'avg'])
def test_pooling(pooling: str) -> None:
    stage = dict(type='mmps.ConvNeXtStage', arch=dict(depths=[1, 1], channels=[4, 6]), stage=1)
    head = RoIStage(stage, pooling=pooling)
    x = torch.randn(3, 4, 8, 8)
    c4, c5 = head(x)
    for got, features in ((c4, x), (c5, head.stage(x))):
        flat = features.flatten(2)
        torch.testing.assert_close(got, flat.amax(2) if pooling == 'max' else flat.mean(2))
    assert c5.shape == (3, 6)


def test_pooling_must_be_known() -> None:
    with pytest.raises(ValueError, match="pooling='mean': choose one of max, avg"):
        RoIStage(dict(type='ResLayer', depth=18), pooling='mean')


def test_mask_head_is_refused() -> None:
    with pytest.raises(ValueError, match='SeqRoIHead has no mask head; remove mask_head'):
        build_model('seqxt_convnext_b_prw').roi_head.init_mask_head(None, None)


@pytest.mark.parametrize('type_', NMS_TYPES)
def test_nms_keeps_groups_apart(type_: str) -> None:
    boxes = torch.tensor(
        [[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 9, 10]]
    )
    scores = torch.tensor([0.5, 0.9, 0.7, 0.6, 0.8])
    groups = torch.tensor([0, 0, 1, 0, 1])
    cfg = ConfigDict(type=type_, iou_threshold=0.5)
    assert batched_nms(boxes, scores, groups=groups, cfg=cfg).tolist() == [1, 4, 3]
    cfg.iou_threshold = 0.95
    assert batched_nms(boxes, scores, groups=groups, cfg=cfg).tolist() == [1, 4, 2, 3, 0]
    nothing = batched_nms(boxes[:0], scores[:0], groups=groups[:0], cfg=cfg)
    assert (nothing.shape, nothing.dtype) == ((0,), torch.int64)


@pytest.mark.parametrize('type_', NMS_TYPES)
def test_select_detections(type_: str) -> None:
    boxes = torch.tensor(
        [
            [0.0, 0, 10, 10],  # suppressed by the next one
            [1, 0, 11, 10],
            [50, 0, 60, 10],  # not above the threshold
            [80, 0, 80.5, 10],  # too narrow
            [20, 20, 30, 30],
            [40, 40, 50, 50],
        ]
    )
    scores = torch.tensor([0.6, 0.9, 0.5, 0.95, 0.7, 0.8])
    cfg = ConfigDict(
        score_thr=0.5, min_size=1.0, nms=dict(type=type_, iou_threshold=0.5), max_per_img=300
    )
    assert select_detections(boxes, scores, cfg).tolist() == [1, 5, 4]
    cfg.max_per_img = 2
    assert select_detections(boxes, scores, cfg).tolist() == [1, 5]
    cfg.score_thr = 1.0
    nothing = select_detections(boxes, scores, cfg)
    assert (nothing.shape, nothing.dtype) == ((0,), torch.int64)
    assert select_detections(boxes[:0], scores[:0], cfg).shape == (0,)


def sampling(
    assigned: list[int],
    negatives: int,
    *,
    priors: torch.Tensor | None = None,
    persons: torch.Tensor | None = None,
) -> SamplingResult:
    """Proposals given to these of five persons, followed by so many of background."""
    positives, total = len(assigned), len(assigned) + negatives
    return SamplingResult(
        pos_inds=torch.arange(positives),
        neg_inds=torch.arange(positives, total),
        priors=torch.zeros(total, 4) if priors is None else priors,
        gt_bboxes=torch.zeros(5, 4) if persons is None else persons,
        assign_result=AssignResult(
            num_gts=5,
            gt_inds=torch.tensor([*(a + 1 for a in assigned), *[0] * negatives]),
            max_overlaps=None,
            labels=torch.tensor([*[0] * positives, *[-1] * negatives]),
        ),
        gt_flags=torch.zeros(total, dtype=torch.uint8),
    )


def test_identities_of_sampled_proposals() -> None:
    gts = [
        InstanceData(pids=torch.tensor([7, -1, 3])),
        InstanceData(pids=torch.zeros(0, dtype=torch.int64)),
        InstanceData(pids=torch.tensor([5])),
    ]
    samples = [sampling([2, 0, 1, 0], negatives=2), sampling([], negatives=1), sampling([0], 0)]
    pids = sampled_pids(samples, gts)
    np.testing.assert_array_equal(pids, [3, 7, -1, 7, -2, -2, -2, 5])
    assert pids.dtype == torch.int64


def test_overlaps_of_sampled_proposals() -> None:
    persons = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 20]]).repeat(3, 1)[:5]
    priors = torch.tensor([[20.0, 0, 30, 10], [0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10]])
    samples = [
        sampling([1, 0, 0], negatives=1, priors=priors, persons=persons),
        sampling([], negatives=2),
        sampling([3], negatives=0, priors=priors[:1], persons=persons),
    ]
    expected = torch.tensor([0.5, 1, 9 / 11, 0, 0, 0, 0.5])
    torch.testing.assert_close(sampled_ious(samples), expected)
