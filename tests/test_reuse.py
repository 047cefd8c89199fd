"""Parts of mmps in configs of MMDet and mmpretrain, by config alone: `configs/reuse/`."""

from typing import Any

import pytest
import torch
from mmdet.structures import ReIDDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample
from small_models import CONFIGS, make_batch, without_downloads
from torch import Tensor

from mmps.models import DOIMLoss, NormAwareEmbedding, ProtoNorm1d
from mmps.registry import MODELS

DETECTOR = CONFIGS / 'reuse' / 'faster-rcnn_r50_fpn_doim_prw.py'
REID = CONFIGS / 'reuse' / 'reid_r50_doim_mot17.py'
PERSONS = 3
# ResNet-18, which has four times fewer channels; few RoIs.
SMALL_DETECTOR = {
    'model.backbone.depth': 18,
    'model.neck.in_channels': [64, 128, 256, 512],
    'model.neck.out_channels': 64,
    'model.rpn_head.in_channels': 64,
    'model.rpn_head.feat_channels': 64,
    'model.roi_head.bbox_roi_extractor.out_channels': 64,
    'model.roi_head.roi_stage.stage.depth': 18,
    'model.roi_head.bbox_head.in_channels': 128,
    'model.roi_head.bbox_head.fc_out_channels': 16,
    'model.roi_head.embedding_head.in_channels': [64, 128],
    'model.roi_head.loss_reid.num_persons': PERSONS,
    'model.roi_head.loss_reid.queue_size': 4,
    'model.train_cfg.rpn_proposal.max_per_img': 40,
    'model.train_cfg.rcnn.sampler.num': 24,
    'model.test_cfg.rpn.max_per_img': 20,
    # The model of one step is sure of nothing.
    'model.test_cfg.rcnn.score_thr': 0.0,
}
SMALL_REID = {
    'model.backbone.depth': 18,
    'model.head.embedding_head.in_channels': [256, 512],
    'model.head.loss_reid.num_persons': PERSONS,
}


def build(config: Config) -> Any:
    init_default_scope(config.get('default_scope', 'mmdet'))
    without_downloads(config)
    torch.manual_seed(0)
    return MODELS.build(config.model).train()


def parts(model: Any) -> tuple[DOIMLoss, NormAwareEmbedding]:
    """The loss and the embedding of a model, with ProtoNorm."""
    (loss,) = (m for m in model.modules() if isinstance(m, DOIMLoss))
    (embedding,) = (m for m in model.modules() if isinstance(m, NormAwareEmbedding))
    assert [type(projector[1]) for projector in embedding.projectors] == [ProtoNorm1d] * 2
    return loss, embedding


def train_step(config: Config, model: Any, batch: dict[str, Any]) -> dict[str, Tensor]:
    """One step of the config's optimiser, and of the memory."""
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    losses = model.train_step(batch, wrapper)
    parts(model)[0].commit()
    return losses


def assert_unit_rows(vectors: Tensor) -> None:
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))


# --------------------------------------------------------------------- detector


@pytest.fixture
def detector() -> Config:
    config = Config.fromfile(DETECTOR)
    config.merge_from_dict(SMALL_DETECTOR)
    return config


def test_all_but_the_roi_head_is_mmdets() -> None:
    init_default_scope('mmdet')
    ours = Config.fromfile(DETECTOR).model
    stock = Config.fromstring(
        "_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'", '.py'
    ).model
    for name in stock.keys() - {'type', 'roi_head'}:
        assert ours[name] == stock[name], name
    assert ours.roi_head.bbox_roi_extractor == stock.roi_head.bbox_roi_extractor
    assert ours.roi_head.bbox_head.type == stock.roi_head.bbox_head.type


@pytest.mark.parametrize('type_', ['mmps.PersonSearchDetector', 'FasterRCNN'])
def test_faster_rcnn_trains_and_embeds_what_it_finds(detector: Config, type_: str) -> None:
    detector.model.type = type_
    model = build(detector)
    loss, embedding = parts(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    batch = make_batch([0, -1], [2, 0])

    losses = train_step(detector, model, batch)
    assert torch.isfinite(losses['loss'])
    # Persons 0 and 2 have a prototype now, 1 has none; the one without identity is queued.
    assert loss.table.vectors.any(dim=1).tolist() == [True, False, True]
    assert_unit_rows(loss.table.vectors[[0, 2]])
    assert loss.queue.vectors.any(dim=1).sum() >= 1
    assert all(projector[1].running_mean.any() for projector in embedding.projectors)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    for prefix in ('neck', 'rpn_head', 'roi_head.roi_stage', 'roi_head.bbox_head.fc_cls'):
        assert any(name.startswith(prefix) for name in moved), prefix
    assert 'backbone.layer4.1.conv2.weight' in moved
    assert not any(name.startswith('backbone.layer1') for name in moved)  # frozen, as in MMDet

    # The memory is full enough for the embedding to learn from its loss alone.
    model.zero_grad()
    data = model.data_preprocessor(make_batch([0, -1], [2, 0]), training=True)
    model.loss(data['inputs'], data['data_samples'])['loss_reid'].backward()
    assert embedding.projectors[0][0].weight.grad.any()
    assert model.backbone.layer4[1].conv2.weight.grad.any()

    model.eval()
    with torch.no_grad():
        samples = model.test_step(make_batch([0, -1], [2, 0]))
    for sample in samples:
        found = sample.pred_instances
        assert len(found) > 0
        assert found.bboxes.shape == (len(found), 4)
        assert found.embeddings.shape == (len(found), 256)
        assert_unit_rows(found.embeddings)
        if type_ == 'mmps.PersonSearchDetector':
            assert sample.query_instances.embeddings.shape == (2, 256)
            assert_unit_rows(sample.query_instances.embeddings)


def test_levels_of_the_pyramid_are_those_of_mmdet(detector: Config) -> None:
    model = build(detector).eval()
    head = model.roi_head
    # 2,000 pixels: the coarsest level that RoIs are pooled from, not the RPN's own one above.
    boxes = torch.tensor([[0.0, 0, 20, 40], [0, 0, 300, 500], [0, 0, 2000, 2000]])
    levels = tuple(torch.full((1, 64, 256 // 2**i, 256 // 2**i), float(i)) for i in range(5))
    pooled = head.pool(levels, [boxes])
    assert pooled.amax(dim=(1, 2, 3)).tolist() == [0, 2, 3]


# --------------------------------------------------------------------- re-identification


def crops(sample_type: type, labels: list[int], seed: int = 0) -> dict[str, list[Any]]:
    """Noise of 64 x 32 pixels, one image a label."""
    generator = torch.Generator().manual_seed(seed)
    inputs = [
        torch.randint(0, 256, (3, 64, 32), generator=generator, dtype=torch.uint8) for _ in labels
    ]
    return dict(inputs=inputs, data_samples=[sample_type().set_gt_label(y) for y in labels])


def test_reid_of_mmdet_trains_and_embeds() -> None:
    config = Config.fromfile(REID)
    config.merge_from_dict(SMALL_REID)
    model = build(config)
    loss, embedding = parts(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}

    losses = train_step(config, model, crops(ReIDDataSample, [0, 2, 0, 0, 2, 2]))
    assert torch.isfinite(losses['loss_reid'])
    assert loss.table.vectors.any(dim=1).tolist() == [True, False, True]
    assert_unit_rows(loss.table.vectors[[0, 2]])

    train_step(config, model, crops(ReIDDataSample, [0, 2, 1, 1], seed=1))
    assert loss.table.vectors.any(dim=1).all()
    assert all(projector[1].num_batches_tracked == 2 for projector in embedding.projectors)
    unread = {name for name in before if 'rescaler' in name}
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name in unread), name

    model.eval()
    with torch.no_grad():
        samples = model.test_step(crops(ReIDDataSample, [0, 2]))
        features = model.extract_feat(
            model.data_preprocessor(crops(ReIDDataSample, [0, 2]))['inputs']
        )
        expected = embedding(features)[0]
    assert_unit_rows(expected)
    torch.testing.assert_close(torch.stack([s.pred_feature for s in samples]), expected)


@pytest.fixture
def classifier() -> Config:
    """A plain mmpretrain config, as its users write it."""
    head = Config.fromfile(REID).model.head
    config = Config(
        dict(
            default_scope='mmpretrain',
            model=dict(
                type='ImageClassifier',
                backbone=dict(type='ResNet', depth=18, out_indices=(2, 3)),
                neck=dict(type='GlobalAveragePooling'),
                head=head,
            ),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        )
    )
    config.merge_from_dict(SMALL_REID)
    return config


def test_classifier_of_mmpretrain_learns_to_tell_crops_apart(classifier: Config) -> None:
    model = build(classifier)
    wrapper = build_optim_wrapper(model, classifier.optim_wrapper)
    labels = [0, 1, 2, 0, 1]
    losses = [
        model.train_step(crops(DataSample, labels), wrapper)['loss_reid'].item() for _ in range(6)
    ]
    # The first step has an empty table: every answer is as likely.
    assert losses[0] == pytest.approx(torch.tensor(float(PERSONS)).log().item(), rel=1e-5)
    assert losses[-1] < 0.1

    model.eval()
    with torch.no_grad():
        samples = model.test_step(crops(DataSample, labels))
        embeddings = torch.stack([sample.pred_feature for sample in samples])
        inputs = model.data_preprocessor(crops(DataSample, labels))['inputs']
        torch.testing.assert_close(model(inputs, mode='tensor'), embeddings)
        alone = model.head.predict(model.extract_feat(inputs))
    torch.testing.assert_close(torch.stack([s.pred_feature for s in alone]), embeddings)


def test_a_label_without_place_is_named(classifier: Config) -> None:
    model = build(classifier)
    data = model.data_preprocessor(crops(DataSample, [0, PERSONS]), training=True)
    with pytest.raises(ValueError, match=r'num_persons=3, but a label is 3'):
        model.loss(**data)


def test_a_loss_that_needs_boxes_is_refused(classifier: Config) -> None:
    classifier.model.head.loss_reid = dict(type='mmps.LOIMLoss', num_persons=PERSONS, queue_size=0)
    model = build(classifier)
    data = model.data_preprocessor(crops(DataSample, [0, 1]), training=True)
    with pytest.raises(ValueError, match=r'choose mmps\.OIMLoss'):
        model.loss(**data)
