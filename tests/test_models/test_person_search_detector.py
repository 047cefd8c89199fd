"""The whole model, scaled down from the configs: training and prediction, also with nothing there.

What is special to a RoI head has a module of its own.
"""

from typing import Any

import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from small_models import build_model, in_every_selection, make_batch

RPN_LOSSES = {'loss_rpn_cls', 'loss_rpn_bbox'}
ONE_STAGE = RPN_LOSSES | {'loss_cls', 'loss_reg', 'loss_reid'}
TWO_STAGES = RPN_LOSSES | {'loss_cls1', 'loss_reg1', 'loss_cls2', 'loss_reg2', 'loss_reid'}
LOSSES = {
    'oim_r50_prw': ONE_STAGE,
    'oimnetppp_r50_prw': ONE_STAGE,
    'nae_r50_prw': ONE_STAGE,
    'seqnet_r50_prw': TWO_STAGES,
    'seqxt_convnext_b_prw': TWO_STAGES,
}
MODELS = tuple(LOSSES)


def detect_all(name: str) -> dict[str, Any]:
    """Overrides to detect much: an untrained model is sure of nothing."""
    return in_every_selection(name, score_thr=0.0, nms__iou_threshold=0.9)


def without_detections(name: str) -> list[dict[str, Any]]:
    """Overrides with which each selection of detections in turn leaves none."""
    return [{**detect_all(name), key: 1.0} for key in in_every_selection(name, score_thr=1.0)]


def train_losses(model: Any, batch: dict[str, list[Any]]) -> dict[str, float]:
    """One forward and backward pass; asserts what has to hold for every batch."""
    model.train()
    losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
    names = {key for key in losses if key.startswith('loss')}
    assert losses.keys() - names <= {'acc', 'acc1'}
    total, log = model.parse_losses(losses)
    assert all(torch.isfinite(value).all() for value in log.values()), log
    total.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            # Distributed training waits for every one of them.
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
    return {name: log[name].item() for name in names}


@torch.no_grad()
def predict(model: Any, batch: dict[str, list[Any]], *, rescale: bool = True) -> list[Any]:
    model.eval()
    data = model.data_preprocessor(batch)
    return model.predict(data['inputs'], data['data_samples'], rescale=rescale)


@pytest.fixture(scope='module', params=MODELS)
def detecting(request: pytest.FixtureRequest) -> Any:
    """A model that detects much; only to predict with."""
    return build_model(request.param, **detect_all(request.param))


@pytest.mark.parametrize('name', MODELS)
def test_losses_reach_every_parameter(name: str) -> None:
    model = build_model(name)
    # An empty memory has no gradient.
    torch.nn.init.orthogonal_(model.roi_head.loss_reid.table.vectors)
    before = model.roi_head.loss_reid.table.vectors.clone()
    losses = train_losses(model, make_batch([0, 1], [2, -1, 0]))
    assert losses.keys() == LOSSES[name]
    assert all(value > 0 for value in losses.values()), losses
    for key, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.dim() > 1:
            assert parameter.grad.abs().max() > 0, key
    # Labelled persons wait for the table, the one without identity for the queue.
    model.roi_head.loss_reid.commit()
    after = model.roi_head.loss_reid.table.vectors
    torch.testing.assert_close(after.norm(dim=1), torch.ones(3))
    assert ((after - before).norm(dim=1) > 1e-3).all()
    assert model.roi_head.loss_reid.queue.vectors.any()


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.parametrize(
    'pids', [([], []), ([], [0, 1]), ([-1, -1], [-1])], ids=['nobody', 'one_empty', 'unlabelled']
)
def test_trains_without_persons_or_identities(name: str, pids: tuple[list[int], ...]) -> None:
    losses = train_losses(build_model(name), make_batch(*pids))
    assert losses.keys() == LOSSES[name]
    persons = [pid for of_image in pids for pid in of_image]
    assert (losses.pop('loss_reid') > 0) == any(pid >= 0 for pid in persons)
    for key, value in losses.items():
        assert value > 0 or ('cls' not in key and not persons), key
        assert value == 0 or ('cls' in key or persons), key


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.parametrize('rois', [0, 1])
def test_trains_on_fewer_than_two_rois(name: str, rois: int) -> None:
    model = build_model(name, train_cfg__rpn_proposal__max_per_img=rois)
    losses = train_losses(model, make_batch([]))
    assert losses.keys() == LOSSES[name]
    assert losses.pop('loss_rpn_cls') > 0
    assert set(losses.values()) == {0.0}


@pytest.mark.parametrize('name', ['seqnet_r50_prw', 'nae_r50_prw', 'oimnetppp_r50_prw'])
def test_trains_and_predicts_in_mixed_precision(name: str) -> None:
    model = build_model(name, **detect_all(name))
    batch = make_batch([0, 1], [2, -1])
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = train_losses(model, batch)
        sample = predict(model, batch)[0]
    assert losses['loss_reid'] > 0
    assert model.roi_head.loss_reid.table.vectors.dtype == torch.float32
    for value in (sample.pred_instances.embeddings, sample.query_instances.embeddings):
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.norm(dim=1), torch.ones(len(value)))


def test_identities_are_required() -> None:
    batch = make_batch([0, 1])
    del batch['data_samples'][0].gt_instances.pids
    model = build_model('seqxt_convnext_b_prw')
    with pytest.raises(ValueError, match=r'no pids: load annotations with mmps\.LoadPerson'):
        train_losses(model, batch)


def test_predictions(detecting: Any) -> None:
    for sample in predict(detecting, make_batch([0, 1], [2])):
        found = sample.pred_instances
        assert len(found) > 1
        assert found.bboxes.shape == (len(found), 4)
        assert found.bboxes[:, 0::2].min() >= 0
        assert found.bboxes[:, 0::2].max() <= 160
        assert found.bboxes[:, 1::2].max() <= 96
        assert (found.bboxes[:, 2:] > found.bboxes[:, :2]).all()
        assert found.scores.dtype == found.embeddings.dtype == torch.float32
        assert (found.scores.diff() <= 0).all()
        assert (found.labels == 0).all()
        assert found.labels.dtype == torch.int64
        assert found.embeddings.shape == (len(found), detecting.roi_head.embedding_head.dim)
        torch.testing.assert_close(found.embeddings.norm(dim=1), torch.ones(len(found)))


def test_boxes_are_rescaled_to_the_original_image(detecting: Any) -> None:
    factor = (0.5, 0.4)
    scaled = predict(detecting, make_batch([0], scale_factor=factor), rescale=False)[0]
    original = predict(detecting, make_batch([0], scale_factor=factor), rescale=True)[0]
    assert len(scaled.pred_instances) > 0
    torch.testing.assert_close(
        original.pred_instances.bboxes * torch.tensor([*factor, *factor]),
        scaled.pred_instances.bboxes,
    )
    torch.testing.assert_close(original.pred_instances.embeddings, scaled.pred_instances.embeddings)
    # Boxes of queries are in pixels of the original image in both cases.
    torch.testing.assert_close(
        original.query_instances.embeddings, scaled.query_instances.embeddings
    )
    unscaled = predict(detecting, make_batch([0]))[0]
    torch.testing.assert_close(
        original.query_instances.embeddings, unscaled.query_instances.embeddings
    )


def test_queries_are_embedded_as_given_boxes(detecting: Any) -> None:
    batch = make_batch([0, 1], [], [2], scale_factor=(0.5, 0.4))
    del batch['data_samples'][1].query_instances
    samples = predict(detecting, batch)
    assert 'query_instances' not in samples[1]
    boxes = [
        samples[0].query_instances.bboxes,
        torch.zeros(0, 4),
        samples[2].query_instances.bboxes,
    ]
    data = detecting.data_preprocessor(batch)
    given = detecting.predict_with_given_boxes(data['inputs'], data['data_samples'], boxes)
    assert [len(g.embeddings) for g in given] == [2, 0, 1]
    assert given[0].bboxes is boxes[0]
    for i in (0, 2):
        embeddings = samples[i].query_instances.embeddings
        torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(len(embeddings)))
        torch.testing.assert_close(given[i].embeddings, embeddings)

    # Alone an image gives what it gives among others.
    alone = make_batch([0, 1], scale_factor=(0.5, 0.4))
    data = detecting.data_preprocessor(alone)
    (again,) = detecting.predict_with_given_boxes(data['inputs'], data['data_samples'], boxes[:1])
    torch.testing.assert_close(again.embeddings, given[0].embeddings, rtol=0, atol=1e-5)
    assert not torch.allclose(given[0].embeddings[0], given[0].embeddings[1], atol=1e-3)


def test_annotated_boxes_are_embedded_if_asked() -> None:
    batch = make_batch([0, 1], [], [2], scale_factor=(0.5, 0.4))
    boxes = []
    for sample in batch['data_samples']:
        # As a test pipeline that loads annotations after Resize: in pixels of the original image.
        boxes.append(sample.query_instances.bboxes)
        sample.gt_instances.bboxes = HorizontalBoxes(sample.query_instances.bboxes)
    del batch['data_samples'][1].query_instances
    name = 'oimnetppp_r50_prw'
    model = build_model(name, test_cfg__embed_ground_truth=True)
    samples = predict(model, batch)
    data = model.data_preprocessor(batch)
    given = model.predict_with_given_boxes(data['inputs'], data['data_samples'], boxes)
    assert [len(sample.gt_instances.embeddings) for sample in samples] == [2, 0, 1]
    for sample, expected in zip(samples, given, strict=True):
        torch.testing.assert_close(sample.gt_instances.embeddings, expected.embeddings)
    assert not torch.allclose(*samples[0].gt_instances.embeddings, atol=1e-3)
    for sample in predict(build_model(name), make_batch([0])):
        assert 'embeddings' not in sample.gt_instances


def test_given_boxes_are_one_tensor_an_image(detecting: Any) -> None:
    data = detecting.data_preprocessor(make_batch([0], [1]))
    with pytest.raises(ValueError, match='got 1 tensors for 2 images'):
        detecting.predict_with_given_boxes(
            data['inputs'], data['data_samples'], [torch.zeros(1, 4)]
        )
    empty = detecting.predict_with_given_boxes(
        data['inputs'], data['data_samples'], [torch.zeros(0, 4)] * 2
    )
    assert [e.embeddings.shape for e in empty] == [(0, detecting.roi_head.embedding_head.dim)] * 2


@pytest.mark.parametrize(
    ('name', 'overrides'),
    [(name, overrides) for name in MODELS for overrides in without_detections(name)],
)
def test_predicts_without_detections(name: str, overrides: dict[str, Any]) -> None:
    expect_no_detections(build_model(name, **overrides))


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.parametrize(
    'overrides',
    [
        dict(test_cfg__rpn__max_per_img=0),
        dict(test_cfg__rpn__min_bbox_size=1000),
        dict(
            test_cfg__rpn__min_bbox_size=1000,
            test_cfg__rpn__nms=dict(_delete_=True, type='nms', iou_threshold=0.7),
        ),
    ],
    ids=['no_proposals', 'small_proposals', 'small_proposals_mmcv_nms'],
)
def test_predicts_without_proposals(name: str, overrides: dict[str, Any]) -> None:
    expect_no_detections(build_model(name, **overrides))


def expect_no_detections(model: Any) -> None:
    dim = model.roi_head.embedding_head.dim
    for sample in predict(model, make_batch([0, 1], [])):
        found = sample.pred_instances
        assert found.bboxes.shape == (0, 4)
        assert found.scores.shape == found.labels.shape == (0,)
        assert found.labels.dtype == torch.int64
        assert found.embeddings.shape == (0, dim)
        # Queries need no detection.
        assert sample.query_instances.embeddings.shape == (len(sample.gt_instances), dim)


def test_frozen_parameters_still_follow_the_statistics() -> None:
    model = build_model('seqnet_r50_prw')
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {'backbone.conv1.weight', 'backbone.bn1.weight', 'backbone.bn1.bias'}
    before = model.backbone.bn1.running_mean.clone()
    train_losses(model, make_batch([0, 1], [2]))
    assert all(model.get_parameter(name).grad is None for name in frozen)
    assert not torch.equal(model.backbone.bn1.running_mean, before)


def test_frozen_parameters_must_exist() -> None:
    with pytest.raises(ValueError, match=r"no parameter of the model starts with 'backbone\.stem'"):
        build_model('seqnet_r50_prw', frozen_parameters=['backbone.conv1', 'backbone.stem'])
