"""What the whole models of the references have in common: inputs, checkpoints, comparisons.

Tolerances are those of the references' README: C4 maps 1e-4, boxes 0.05 px, scores 1e-4, cosines of
embeddings 0.9999, losses and gradients 1e-3.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from references import ROOT, Reference
from torch import Tensor, nn

from mmps.converters import Converted
from mmps.registry import MODELS

HEIGHT, WIDTH = 320, 480
UNLABELLED = 5555  # what the references call a person without identity

Checkpoint = dict[str, Tensor]


@dataclass(frozen=True)
class Method:
    """A method with a reference.

    Attributes:
        config: name of its config for PRW, without ``.py``.
        to_mmps, from_mmps: the conversion of its checkpoints.
        losses: names of the authors' losses and ours.
        weighted: whether the authors' embeddings of detections are multiplied by their score.
    """

    config: str
    to_mmps: Callable[[Mapping[str, Tensor]], Converted]
    from_mmps: Callable[[Mapping[str, Tensor]], Checkpoint]
    losses: Mapping[str, str]
    weighted: bool


def make_checkpoint(reference: Reference, fixtures: Any) -> Checkpoint:
    """The checkpoint of a reference, as the authors would publish it."""
    seed = reference.info['seed']
    arrays = {
        key: fixtures.parameter(key, shape, seed)
        for key, shape in reference.info['state_dict_shapes'].items()
    }
    for key, value in reference.arrays.items():
        if key.startswith('override:'):
            arrays[key.removeprefix('override:')] = value
    return {key: torch.from_numpy(np.asarray(value)) for key, value in arrays.items()}


def build(method: Method, checkpoint: Checkpoint, **train_cfg: Any) -> nn.Module:
    """The model of a method with a converted checkpoint; ``__`` in a name stands for a dot."""
    init_default_scope('mmdet')
    config = Config.fromfile(ROOT / 'configs' / f'{method.config}.py')
    config.merge_from_dict(
        {
            'model.roi_head.loss_reid.num_persons': len(checkpoint['roi_heads.reid_loss.lut']),
            'model.roi_head.loss_reid.queue_size': len(checkpoint['roi_heads.reid_loss.cq']),
            **{f'model.train_cfg.{key.replace("__", ".")}': v for key, v in train_cfg.items()},
        }
    )
    model = MODELS.build(config.model)
    model.load_state_dict(method.to_mmps(checkpoint).state_dict)
    return model


def make_batch(fixtures: Any, seed: int, indices: list[int]) -> dict[str, list[Any]]:
    """Images of the references with three persons each, which are queries too."""
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


def cosine(a: Tensor, b: np.ndarray) -> float:
    """The smallest cosine of two rows (N, D)."""
    return float(nn.functional.cosine_similarity(a, torch.from_numpy(b)).min())


def check_detections(
    method: Method, checkpoint: Checkpoint, reference: Reference, fixtures: Any, i: int
) -> None:
    """C4 map, proposals, detections and embeddings of image i."""
    model = build(method, checkpoint).eval()
    data = model.data_preprocessor(make_batch(fixtures, reference.info['seed'], [i]))
    inputs, samples = data['inputs'], data['data_samples']
    want = reference.arrays
    with torch.no_grad():
        x = model.extract_feat(inputs)
        model.extract_feat = lambda inputs: x  # once is enough
        proposals = model.rpn_head.predict(x, samples, rescale=False)[0].bboxes
        result = model.predict(inputs, samples)[0]
        given = model.predict_with_given_boxes(inputs, samples, [result.query_instances.bboxes])

    c4 = np.array([x[0].mean(), x[0].std()])
    np.testing.assert_allclose(c4, want[f'image{i}_c4_mean_std'], rtol=1e-4)
    # Each is the other's, one to one. Their order is not pinned: logits that agree to float32
    # rounding change places from one build of PyTorch to the next.
    distances = np.abs(proposals.numpy()[:, None] - want[f'image{i}_proposals']).max(axis=2)
    assert distances.shape[0] == distances.shape[1]
    assert distances.min(axis=0).max() <= 0.05
    assert distances.min(axis=1).max() <= 0.05
    found = result.pred_instances
    np.testing.assert_allclose(found.bboxes, want[f'gallery{i}_boxes'], atol=0.05)
    np.testing.assert_allclose(found.scores, want[f'gallery{i}_scores'], atol=1e-4)
    assert cosine(found.embeddings, want[f'gallery{i}_embeddings']) > 0.9999
    # Ours are weighted by the score in the evaluation, if at all.
    weights = found.scores if method.weighted else torch.ones_like(found.scores)
    np.testing.assert_allclose(
        (found.embeddings * weights[:, None]).norm(dim=1),
        np.linalg.norm(want[f'gallery{i}_embeddings'], axis=1),
        atol=1e-4,
    )
    assert cosine(result.query_instances.embeddings, want[f'query{i}_embeddings']) > 0.9999
    assert cosine(given[0].embeddings, want[f'query{i}_embeddings']) > 0.9999


def check_losses_and_gradients(
    method: Method, checkpoint: Checkpoint, reference: Reference, fixtures: Any
) -> None:
    """One training step, in which every anchor and every proposal is sampled."""
    model = build(
        method,
        checkpoint,
        rpn__sampler__num=10**7,
        rcnn__sampler__num=10**6,
        rpn_proposal__nms_pre=600,
        rpn_proposal__max_per_img=200,
    ).train()
    # Of the other parameters no gradient is compared, and to compute them takes as long again.
    compared = {
        theirs: _our_name(method, checkpoint, theirs)
        for theirs in reference.info['train_grad_norm_and_first']
    }
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in compared.values())
    data = make_batch(fixtures, reference.info['seed'], [0, 1])
    for sample, ids in zip(data['data_samples'], reference.arrays['train_ids'], strict=True):
        pids = torch.from_numpy(ids).long()
        sample.gt_instances.pids = torch.where(pids == UNLABELLED, -1, pids - 1)
    data = model.data_preprocessor(data, training=True)
    losses = model.loss(data['inputs'], data['data_samples'])
    assert method.losses.keys() == reference.info['train_losses'].keys()
    for theirs, ours in method.losses.items():
        got = losses[ours][0] if isinstance(losses[ours], list) else losses[ours]
        want = reference.info['train_losses'][theirs]
        assert got.item() == pytest.approx(want, rel=1e-3), ours

    model.parse_losses(losses)[0].backward()
    parameters = dict(model.named_parameters())
    for theirs, (norm, first) in reference.info['train_grad_norm_and_first'].items():
        ours = compared[theirs]
        grad = parameters[ours].grad
        assert grad is not None
        assert grad.norm().item() == pytest.approx(norm, rel=1e-3), ours
        # One element of a gradient has no scale of its own: it is held to that of the tensor.
        scale = norm / grad.numel() ** 0.5
        assert grad.flatten()[0].item() == pytest.approx(first, rel=1e-3, abs=1e-2 * scale), ours


def _our_name(method: Method, checkpoint: Checkpoint, name: str) -> str:
    """What a parameter of the authors' is called here."""
    converted = method.to_mmps({name: checkpoint[name]}).state_dict
    (ours,) = converted.keys() - {'roi_head.loss_reid.queue.head'}
    return ours


def check_parameters(
    method: Method, checkpoint: Checkpoint, reference: Reference, *, unread: int, total: int
) -> None:
    """Every parameter of the authors is ours, or one of so many that they never read."""
    ours = sum(p.numel() for p in build(method, checkpoint).parameters())
    buffers = ('running_mean', 'running_var', 'num_batches_tracked')
    left_out = method.to_mmps(checkpoint).unread
    assert unread == sum(n for key, n in left_out.items() if not key.endswith(buffers))
    assert ours + unread == reference.info['num_parameters'] == total


def check_round_trip(method: Method, checkpoint: Checkpoint) -> None:
    """The way back gives the checkpoint bit for bit, with zeros for what is never read."""
    converted = method.to_mmps(checkpoint)
    back = method.from_mmps(converted.state_dict)
    again = {key.replace('conv.0.0', 'conv'): value for key, value in checkpoint.items()}
    assert back.keys() == again.keys()
    for key, value in again.items():
        read = value.clone()
        if key in converted.unread:
            # The background's rows come first; all of a tensor may be unread.
            read.view(-1)[: converted.unread[key]] = 0
        assert torch.equal(back[key], read), key
