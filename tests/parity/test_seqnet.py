"""SeqNet: detections, embeddings, losses and gradients of the authors' implementation."""

from typing import Any

import numpy as np
import pytest
import torch
from references import ROOT, load_reference
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmps.converters import seqnet_from_mmps, seqnet_to_mmps
from mmps.registry import MODELS

HEIGHT, WIDTH = 320, 480


@pytest.fixture(scope='module')
def reference() -> Any:
    return load_reference('seqnet')


@pytest.fixture(scope='module')
def checkpoint(reference: Any, fixtures: Any) -> dict[str, torch.Tensor]:
    seed = reference.info['seed']
    arrays = {
        key: fixtures.parameter(key, shape, seed)
        for key, shape in reference.info['state_dict_shapes'].items()
    }
    for key, value in reference.arrays.items():
        if key.startswith('override:'):
            arrays[key.removeprefix('override:')] = value
    return {key: torch.from_numpy(np.asarray(value)) for key, value in arrays.items()}


def build(checkpoint: dict[str, torch.Tensor], **train_cfg: Any) -> torch.nn.Module:
    init_default_scope('mmdet')
    config = Config.fromfile(ROOT / 'configs' / 'seqnet_r50_prw.py')
    lut = checkpoint['roi_heads.reid_loss.lut']
    queue = checkpoint['roi_heads.reid_loss.cq']
    config.merge_from_dict(
        {
            'model.roi_head.loss_reid.num_persons': len(lut),
            'model.roi_head.loss_reid.queue_size': len(queue),
            **{f'model.train_cfg.{key.replace("__", ".")}': v for key, v in train_cfg.items()},
        }
    )
    model = MODELS.build(config.model)
    model.load_state_dict(seqnet_to_mmps(checkpoint).state_dict)
    return model


def batch(fixtures: Any, seed: int, indices: list[int]) -> dict[str, list[Any]]:
    inputs, samples = [], []
    for i in indices:
        image = fixtures.image(HEIGHT, WIDTH, seed * 10 + i)
        bgr = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))
        inputs.append(torch.from_numpy(bgr))
        boxes = torch.from_numpy(fixtures.boxes(3, HEIGHT, WIDTH, seed * 10 + i))
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(HEIGHT, WIDTH), ori_shape=(HEIGHT, WIDTH), scale_factor=(1.0, 1.0)
            )
        )
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.zeros(3, dtype=torch.long))
        sample.query_instances = InstanceData(bboxes=boxes)
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def cosine(a: torch.Tensor, b: np.ndarray) -> float:
    return float(torch.nn.functional.cosine_similarity(a, torch.from_numpy(b)).min())


@pytest.mark.parametrize('i', [0, 1])
def test_detections_and_embeddings(
    reference: Any, fixtures: Any, checkpoint: dict[str, torch.Tensor], i: int
) -> None:
    model = build(checkpoint).eval()
    data = model.data_preprocessor(batch(fixtures, reference.info['seed'], [i]))
    inputs, samples = data['inputs'], data['data_samples']
    want = reference.arrays
    with torch.no_grad():
        x = model.extract_feat(inputs)
        proposals = model.rpn_head.predict(x, samples, rescale=False)[0].bboxes
        result = model.predict(inputs, samples)[0]
        given = model.predict_with_given_boxes(inputs, samples, [result.query_instances.bboxes])

    c4 = np.array([x[0].mean(), x[0].std()])
    np.testing.assert_allclose(c4, want[f'image{i}_c4_mean_std'], rtol=1e-4)
    np.testing.assert_allclose(proposals, want[f'image{i}_proposals'], atol=0.05)
    found = result.pred_instances
    np.testing.assert_allclose(found.bboxes, want[f'gallery{i}_boxes'], atol=0.05)
    np.testing.assert_allclose(found.scores, want[f'gallery{i}_scores'], atol=1e-4)
    assert cosine(found.embeddings, want[f'gallery{i}_embeddings']) > 0.9999
    # SeqNet's embeddings are already weighted by their score, ours by the evaluation.
    np.testing.assert_allclose(
        (found.embeddings * found.scores[:, None]).norm(dim=1),
        np.linalg.norm(want[f'gallery{i}_embeddings'], axis=1),
        atol=1e-4,
    )
    assert cosine(result.query_instances.embeddings, want[f'query{i}_embeddings']) > 0.9999
    assert cosine(given[0].embeddings, want[f'query{i}_embeddings']) > 0.9999


def test_losses_and_gradients(
    reference: Any, fixtures: Any, checkpoint: dict[str, torch.Tensor]
) -> None:
    model = build(
        checkpoint,
        rpn__sampler__num=10**7,
        rcnn__sampler__num=10**6,
        rpn_proposal__nms_pre=600,
        rpn_proposal__max_per_img=200,
    ).train()
    data = batch(fixtures, reference.info['seed'], [0, 1])
    for sample, ids in zip(data['data_samples'], reference.arrays['train_ids']):
        pids = torch.from_numpy(ids).long()
        sample.gt_instances.pids = torch.where(pids == 5555, -1, pids - 1)
    data = model.data_preprocessor(data, training=True)
    losses = model.loss(data['inputs'], data['data_samples'])
    names = dict(
        loss_proposal_cls='loss_cls1',
        loss_proposal_reg='loss_reg1',
        loss_box_cls='loss_cls2',
        loss_box_reg='loss_reg2',
        loss_box_reid='loss_reid',
        loss_rpn_reg='loss_rpn_bbox',
        loss_rpn_cls='loss_rpn_cls',
    )
    for theirs, ours in names.items():
        got = losses[ours][0] if isinstance(losses[ours], list) else losses[ours]
        want = reference.info['train_losses'][theirs]
        assert got.item() == pytest.approx(want, rel=1e-3), ours

    model.parse_losses(losses)[0].backward()
    parameters = dict(model.named_parameters())
    for theirs, (norm, first) in reference.info['train_grad_norm_and_first'].items():
        (ours,) = seqnet_to_mmps({theirs: checkpoint[theirs]}).state_dict.keys() - {
            'roi_head.loss_reid.queue.head'
        }
        grad = parameters[ours].grad
        assert grad is not None
        assert grad.norm().item() == pytest.approx(norm, rel=1e-3), ours
        # One element of a gradient has no scale of its own: it is held to that of the tensor.
        scale = norm / grad.numel() ** 0.5
        assert grad.flatten()[0].item() == pytest.approx(first, rel=1e-3, abs=1e-2 * scale), ours


def test_parameters_are_accounted_for(reference: Any, checkpoint: dict[str, torch.Tensor]) -> None:
    model = build(checkpoint)
    ours = sum(p.numel() for p in model.parameters())
    converted = seqnet_to_mmps(checkpoint)
    unread = sum(
        number for key, number in converted.unread.items() if not key.endswith(('mean', 'var'))
    )
    assert unread == 16_400
    assert ours + unread == reference.info['num_parameters'] == 48_418_735


def test_round_trip_is_bit_for_bit(checkpoint: dict[str, torch.Tensor]) -> None:
    converted = seqnet_to_mmps(checkpoint)
    back = seqnet_from_mmps(converted.state_dict)
    again = {key.replace('conv.0.0', 'conv'): value for key, value in checkpoint.items()}
    assert back.keys() == again.keys()
    for key, value in again.items():
        read = value.clone()
        if key in converted.unread:
            read[: len(read) // 2] = 0
        assert torch.equal(back[key], read), key
