"""The RPN whose candidates are chosen by logit, and its anchors and assigner."""

from typing import Any

import pytest
import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from mmps.models import BestOverlapAssigner, LogitRPNHead, RoundedAnchorGenerator

SHAPE = (64, 96)
META = dict(img_shape=SHAPE, scale_factor=(0.5, 0.25))


def settings(**test_cfg: Any) -> dict[str, Any]:
    return dict(
        in_channels=8,
        feat_channels=8,
        anchor_generator=dict(
            type='AnchorGenerator', scales=(1, 2), ratios=(0.5, 1.0, 2.0), strides=(8, 16)
        ),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=(1.0, 1.0, 1.0, 1.0)),
        test_cfg=ConfigDict(
            dict(
                nms_pre=40,
                max_per_img=30,
                nms=dict(type='nms', iou_threshold=0.7),
                min_bbox_size=2,
            ),
            **test_cfg,
        ),
    )


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope('mmdet')


@pytest.mark.parametrize('rescale', [False, True])
def test_same_boxes_as_mmdet_where_nothing_is_saturated(rescale: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = LogitRPNHead(**settings()), RPNHead(**settings())
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    theirs.load_state_dict(ours.state_dict())
    features = [torch.randn(2, 8, 8, 12), torch.randn(2, 8, 4, 6)]
    with torch.no_grad():
        outputs = ours(features)
        got, want = (
            head.predict_by_feat(*outputs, batch_img_metas=[META, META], rescale=rescale)
            for head in (ours, theirs)
        )
    for g, w in zip(got, want, strict=True):
        assert len(g) > 10
        torch.testing.assert_close(g.bboxes, w.bboxes)
        torch.testing.assert_close(g.scores, w.scores)
        torch.testing.assert_close(g.labels, w.labels)


def test_candidates_are_the_highest_logits_also_where_probabilities_are_all_one() -> None:
    config = settings(nms=dict(type='torchvision_nms', iou_threshold=1.0), nms_pre=7)
    config['anchor_generator'] = dict(
        type='AnchorGenerator', scales=(1,), ratios=(1.0,), strides=(8,)
    )
    head = LogitRPNHead(**config)
    height, width = (side // 8 for side in SHAPE)
    torch.manual_seed(0)
    logits = 30 + torch.randperm(height * width).float().reshape(1, 1, height, width) / 10
    assert (logits.sigmoid() == 1).all()
    deltas = torch.zeros(1, 4, height, width)
    (found,) = head.predict_by_feat([logits], [deltas], batch_img_metas=[META])
    best = logits.flatten().topk(7).indices
    centres = torch.stack([best % width, best // width], dim=1) * 8.0
    low = torch.tensor([0.0, 0.0])
    high = torch.tensor([SHAPE[1], SHAPE[0]], dtype=torch.float32)
    corners = [(centres - 4).maximum(low), (centres + 4).minimum(high)]
    torch.testing.assert_close(found.bboxes, torch.cat(corners, dim=1))


def test_anchors_equal_those_of_torchvision() -> None:
    scales, ratios, stride = (2, 4, 8, 16, 32), (0.5, 1.0, 2.0), 16
    sizes = tuple(scale * stride for scale in scales)
    theirs = AnchorGenerator(sizes=(sizes,), aspect_ratios=(ratios,))
    features = torch.zeros(1, 1, 5, 7)
    images = ImageList(torch.zeros(1, 3, 80, 112), [(80, 112)])
    (want,) = theirs(images, [features])
    ours = RoundedAnchorGenerator(strides=[stride], scales=list(scales), ratios=list(ratios))
    (got,) = ours.grid_priors([(5, 7)], device='cpu')
    assert got.shape == (5 * 7 * 15, 4)
    torch.testing.assert_close(got, want, rtol=0, atol=0)


def assigners() -> tuple[BestOverlapAssigner, MaxIoUAssigner]:
    config = dict(pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.0, match_low_quality=True)
    return BestOverlapAssigner(**config), MaxIoUAssigner(**config)


def test_low_quality_match_goes_to_the_best_overlap() -> None:
    # The best anchor of person 1 is anchor 0, which overlaps person 0 more.
    overlaps = torch.tensor([[0.6, 0.8, 0.1], [0.4, 0.2, 0.1]])
    labels = torch.tensor([5, 6])
    ours, theirs = (a.assign_wrt_overlaps(overlaps, labels) for a in assigners())
    assert theirs.gt_inds.tolist() == [2, 1, 0]
    assert ours.gt_inds.tolist() == [1, 1, 0]
    assert ours.labels.tolist() == [5, 5, -1]


def test_assignment_equals_that_of_torchvision() -> None:
    matcher = Matcher(0.7, 0.3, allow_low_quality_matches=True)
    generator = torch.Generator().manual_seed(0)
    differs = 0
    for _ in range(50):
        # Steps of 0.1: ties and values on the thresholds are frequent.
        overlaps = torch.randint(0, 11, (4, 12), generator=generator) / 10
        labels = torch.arange(4)
        ours, mmdet = (a.assign_wrt_overlaps(overlaps, labels) for a in assigners())
        # torchvision: -1 background, -2 neither; MMDet: 0 background, -1 neither.
        want = matcher(overlaps) + 1
        torch.testing.assert_close(ours.gt_inds, want)
        positive = want > 0
        torch.testing.assert_close(ours.labels[positive], want[positive] - 1)
        assert (ours.labels[~positive] == -1).all()
        differs += not torch.equal(mmdet.gt_inds, want)
    assert differs > 0


def test_assignment_without_persons() -> None:
    result = assigners()[0].assign_wrt_overlaps(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    assert result.gt_inds.tolist() == [0, 0, 0]
