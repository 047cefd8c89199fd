"""ProtoNorm against its definition, and as a norm layer of the OpenMMLab stack."""

import copy

import numpy as np
import pytest
import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import convert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from small_models import build_model, make_batch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import mmps  # noqa: F401
from mmps.models import (
    NormAwareEmbedding,
    ProtoNorm1d,
    ProtoNorm2d,
    RoIStage,
    convert_batch_norm,
    prototype_labels,
)
from mmps.models.layers import prototype_weights


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope('mmdet')
    torch.manual_seed(0)


PIDS = torch.tensor([3, -1, 3, 0, -2, -1, 3, -2, 7, 0])


def plain(x: Tensor, pids: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor, Tensor]:
    """Eq. 5 and 6, identity by identity: output, mean and variance."""
    prototypes = [row for row, pid in zip(x, pids, strict=True) if pid == -1]
    prototypes += [x[pids == pid].mean(dim=0) for pid in set(pids.tolist()) - {-1}]
    dims = [0, *range(2, x.dim())]
    shape = [1, -1] + [1] * (x.dim() - 2)
    mean = torch.stack(prototypes).mean(dim=dims)
    var = (x - mean.view(shape)).square().mean(dim=dims)
    return (x - mean.view(shape)) / (var.view(shape) + eps).sqrt(), mean, var


@pytest.mark.parametrize('tail', [(), (5, 3)])
def test_equals_its_definition(tail: tuple[int, ...]) -> None:
    x = torch.randn(10, 4, *tail, dtype=torch.double) * 3 + 5
    norm = (ProtoNorm2d if tail else ProtoNorm1d)(4, affine=True).double()
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    theirs = x.clone().requires_grad_()
    ours = x.clone().requires_grad_()
    expected, mean, var = plain(theirs, PIDS)
    shape = [1, -1] + [1] * len(tail)
    expected = expected * norm.weight.view(shape) + norm.bias.view(shape)
    with prototype_labels(norm, PIDS):
        out = norm(ours)
    torch.testing.assert_close(out, expected, rtol=1e-6, atol=1e-6)

    g = torch.randn_like(out)
    (out * g).sum().backward()
    (expected * g).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-6)
    n = out.numel() // 4
    torch.testing.assert_close(norm.running_mean, 0.1 * mean.detach(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        norm.running_var, 0.9 + 0.1 * var.detach() * n / (n - 1), rtol=1e-6, atol=1e-6
    )
    assert norm.num_batches_tracked == 1


def test_weights_of_rows() -> None:
    # Prototypes: 3, 0, 7, background and two persons without identity: K = 6.
    rows = torch.tensor([3, 1, 3, 2, 2, 1, 3, 2, 1, 2])
    torch.testing.assert_close(prototype_weights(PIDS, PIDS), 1 / (6.0 * rows))


def test_is_batch_norm_where_every_identity_has_as_many_rows() -> None:
    x = torch.randn(6, 4)
    bn, pn = nn.BatchNorm1d(4), ProtoNorm1d(4, affine=True)
    with prototype_labels(pn, torch.tensor([0, 1, 2, 0, 1, 2])):
        out = pn(x)
    torch.testing.assert_close(out, bn(x))
    torch.testing.assert_close(pn.running_mean, bn.running_mean)
    torch.testing.assert_close(pn.running_var, bn.running_var)


def test_a_frequent_identity_does_not_pull_the_mean() -> None:
    x = torch.tensor([[0.0]] * 98 + [[1.0]] * 2)
    norm = ProtoNorm1d(1, momentum=1.0)
    with prototype_labels(norm, torch.tensor([0] * 98 + [1] * 2)):
        norm(x)
    assert norm.running_mean.item() == pytest.approx(0.5)


@pytest.mark.parametrize(('kind', 'shape'), [(ProtoNorm1d, (6, 3)), (ProtoNorm2d, (4, 2, 2, 2))])
def test_gradients(kind: type[ProtoNorm1d | ProtoNorm2d], shape: tuple[int, ...]) -> None:
    norm = kind(shape[1], affine=True).double()
    x = torch.randn(*shape, dtype=torch.double, requires_grad=True)
    pids = torch.tensor([1, 1, -1, -2, -2, 1])[: shape[0]]

    def run(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        with prototype_labels(norm, pids):
            return torch.func.functional_call(norm, dict(weight=weight, bias=bias), (x,))

    assert torch.autograd.gradcheck(run, (x, norm.weight, norm.bias))


def test_evaluation_uses_running_statistics_and_ignores_labels() -> None:
    norm = ProtoNorm2d(3, affine=True)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    bn = nn.BatchNorm2d(3)
    bn.load_state_dict(norm.state_dict())
    before = copy.deepcopy(norm.state_dict())
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(norm.eval()(x), bn.eval()(x))
    with prototype_labels(norm, torch.tensor([1])):
        torch.testing.assert_close(norm(x), bn(x))
    assert all(torch.equal(value, before[key]) for key, value in norm.state_dict().items())


def test_plain_average_of_the_statistics() -> None:
    norm = ProtoNorm1d(2, momentum=None)
    batches = torch.randn(3, 8, 2)
    pids = torch.tensor([0, 0, 0, 0, 0, 1, 2, -1])
    for x in batches:
        with prototype_labels(norm, pids):
            norm(x)
    figures = [plain(x, pids)[1:] for x in batches]
    torch.testing.assert_close(norm.running_mean, torch.stack([m for m, _ in figures]).mean(0))
    torch.testing.assert_close(
        norm.running_var, torch.stack([v for _, v in figures]).mean(0) * 8 / 7
    )


def test_one_row_and_none() -> None:
    norm = ProtoNorm1d(2, affine=True)
    x = torch.tensor([[3.0, -1.0]], requires_grad=True)
    with prototype_labels(norm, torch.tensor([5])):
        out = norm(x)
    assert out.tolist() == [[0.0, 0.0]]
    out.sum().backward()
    assert x.grad.isfinite().all()
    assert norm.running_mean.tolist() == pytest.approx([0.3, -0.1])
    assert norm.running_var.tolist() == [1.0, 1.0]  # one value has no variance

    before = copy.deepcopy(norm.state_dict())
    with prototype_labels(norm, torch.zeros(0, dtype=torch.long)):
        assert norm(torch.zeros(0, 2)).shape == (0, 2)
    assert all(torch.equal(value, before[key]) for key, value in norm.state_dict().items())


def test_labels_are_never_left_behind() -> None:
    model = nn.Sequential(nn.Linear(3, 2), ProtoNorm1d(2), nn.Sequential(ProtoNorm1d(2)))
    x = torch.randn(4, 3)
    with prototype_labels(model, torch.tensor([0, 0, 1, -1])):
        model(x)
    with pytest.raises(RuntimeError, match='prototype_labels'):
        model(x)
    with pytest.raises(KeyError), prototype_labels(model, torch.tensor([0, 0, 1, -1])):  # noqa: PT012
        model(x)
        raise KeyError('a failure of the forward pass')
    with pytest.raises(RuntimeError, match='prototype_labels'):
        model(x)


def test_one_label_a_row() -> None:
    norm = ProtoNorm1d(2)
    with (
        prototype_labels(norm, torch.tensor([0, 1, 2])),
        pytest.raises(ValueError, match='got 4 rows, but prototype_labels 3'),
    ):
        norm(torch.randn(4, 2))
    with pytest.raises(ValueError, match=r'takes \(B, C\)'):
        norm(torch.randn(4, 2, 1, 1))
    with pytest.raises(ValueError, match=r'takes \(B, C, H, W\)'):
        ProtoNorm2d(2)(torch.randn(4, 2))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_statistics_are_float32_under_autocast(dtype: torch.dtype) -> None:
    norm = ProtoNorm1d(3)
    x = torch.randn(10, 3) + 200
    with torch.autocast('cpu', dtype=dtype), prototype_labels(norm, PIDS):
        out = norm(x.to(dtype))
    expected, mean, _ = plain(x.to(dtype).float(), PIDS)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), expected, rtol=1e-2, atol=1e-2)
    assert norm.running_mean.dtype == torch.float32
    torch.testing.assert_close(norm.running_mean, 0.1 * mean, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ('name', 'kind'), [('PN', ProtoNorm2d), ('PN2d', ProtoNorm2d), ('PN1d', ProtoNorm1d)]
)
@pytest.mark.parametrize('affine', [False, True])
def test_is_a_norm_layer_of_mmcv(name: str, kind: type, affine: bool) -> None:
    cfg = dict(type=f'mmps.{name}', affine=affine, requires_grad=False)
    abbreviation, layer = build_norm_layer(cfg, 8, postfix=1)
    assert type(layer) is kind
    assert abbreviation == 'bn1'
    assert [p.requires_grad for p in layer.parameters()] == [False, False] * affine


def test_conversion_to_sync_batch_norm_leaves_it_alone() -> None:
    stage = nn.Sequential(nn.BatchNorm1d(4), ProtoNorm1d(4), nn.BatchNorm2d(4), ProtoNorm2d(4))
    converted = [type(layer) for layer in convert_sync_batchnorm(stage, 'torch')]
    assert converted == [nn.SyncBatchNorm, ProtoNorm1d, nn.SyncBatchNorm, ProtoNorm2d]


def test_norm_decay_mult_reaches_it() -> None:
    model = nn.Sequential(nn.Linear(3, 2), ProtoNorm1d(2, affine=True))
    wrapper = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='SGD', lr=1.0, weight_decay=0.5),
            paramwise_cfg=dict(norm_decay_mult=0.0),
        ),
    )
    decays = {id(g['params'][0]): g['weight_decay'] for g in wrapper.param_groups}
    assert [decays[id(p)] for p in model.parameters()] == [0.5, 0.5, 0, 0]


def test_conversion_keeps_weights_statistics_and_settings() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, eps=1e-3, momentum=0.2), nn.ReLU(), nn.Flatten(),
        nn.Sequential(nn.BatchNorm1d(4, affine=False), nn.LayerNorm(4)),
    )  # fmt: skip
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    model[1].weight.requires_grad_(False)
    weight, x = model[1].weight, torch.randn(2, 3, 1, 1)
    before, expected = copy.deepcopy(model.state_dict()), model.eval()(x)

    converted = convert_batch_norm(model)
    assert converted is model
    assert (type(model[1]), type(model[4][0])) == (ProtoNorm2d, ProtoNorm1d)
    assert (model[1].eps, model[1].momentum, model[1].weight) == (1e-3, 0.2, weight)
    assert not model[1].weight.requires_grad
    assert not model[1].training
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    torch.testing.assert_close(model(x), expected)
    assert type(convert_batch_norm(nn.BatchNorm1d(2))) is ProtoNorm1d


def test_one_switch_converts_a_stage() -> None:
    stage = dict(type='ResLayer', depth=50, stage=3, norm_eval=False)
    plain_stage, proto = RoIStage(stage), RoIStage(stage, proto_norm=True)
    assert list(proto.state_dict()) == list(plain_stage.state_dict())
    kinds = [type(m) for m in proto.modules() if 'Norm' in type(m).__name__]
    assert kinds == [ProtoNorm2d] * 10
    proto.init_weights()
    assert proto.stage.layer4[0].bn1.weight.eq(1).all()


@pytest.mark.parametrize('affine', [False, True])
def test_embedding_with_proto_norm(affine: bool) -> None:
    head = NormAwareEmbedding((6, 8), dim=10, norm_cfg=dict(type='mmps.PN1d', affine=affine))
    head.init_weights()
    weights = torch.cat([p[0].weight.flatten() for p in head.projectors]).detach().numpy()
    assert np.std(weights) == pytest.approx(0.01, rel=0.3)
    assert all(p[0].bias.eq(0).all() for p in head.projectors)

    features = (torch.randn(10, 6), torch.randn(10, 8))
    with prototype_labels(head, PIDS):
        embeddings, logits = head(features)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(10))
    x = torch.cat(
        [plain(p[0](f), PIDS)[0] for p, f in zip(head.projectors, features, strict=True)], dim=1
    )
    if affine:
        x = x * torch.cat([p[1].weight for p in head.projectors])
    torch.testing.assert_close(embeddings, nn.functional.normalize(x), rtol=1e-4, atol=1e-5)
    assert logits.shape == (10,)


def test_a_training_step_of_seqxt_passes_the_identities_of_its_rois() -> None:
    model = build_model(
        'seqxt_convnext_b_prw',
        roi_head__embedding_head__norm_cfg=dict(type='mmps.PN1d', affine=False),
        roi_head__loss_reid__type='mmps.DOIMLoss',
    ).train()
    head = model.roi_head
    norm = head.embedding_head.projectors[1][1]
    rows, pids = [], []
    norm.register_forward_pre_hook(lambda _, args: rows.append(args[0].detach()))
    head.loss_reid.register_forward_pre_hook(lambda _, args: pids.append(args[1]))
    for step in range(2):
        data = model.data_preprocessor(make_batch([0, 1, -1], [2, 0], seed=step), training=True)
        losses = model.loss(data['inputs'], data['data_samples'])
        model.parse_losses(losses)[0].backward()
    assert set(pids[0].tolist()) == {-2, -1, 0, 1, 2}
    mean = torch.zeros(norm.num_features)
    for x, y in zip(rows, pids, strict=True):
        mean = 0.9 * mean + 0.1 * plain(x, y)[1]
    torch.testing.assert_close(norm.running_mean, mean)
    assert head.embedding_head.projectors[1][0].weight.grad.isfinite().all()
    assert head.loss_reid.table.vectors.any(dim=1).all()  # of the first step
    with pytest.raises(RuntimeError, match='prototype_labels'):
        norm(rows[0])


@pytest.mark.parametrize('reentrant', [True, False])
@pytest.mark.parametrize('tail', [(), (3, 2)])
def test_activation_checkpointing_counts_a_step_once(
    tail: tuple[int, ...], reentrant: bool
) -> None:
    conv = nn.Conv2d(3, 4, 1) if tail else nn.Linear(3, 4)
    norm = (ProtoNorm2d if tail else ProtoNorm1d)(4, affine=True)
    kept = nn.Sequential(conv, norm, nn.Sigmoid())
    recomputed = copy.deepcopy(kept)
    for step in range(2):
        x = torch.randn(10, 3, *tail)
        gradients = []
        for module, run in ((kept, None), (recomputed, checkpoint)):
            own = x.clone().requires_grad_()
            with prototype_labels(module, PIDS.roll(step)):
                out = module(own) if run is None else run(module, own, use_reentrant=reentrant)
            out.square().sum().backward()
            gradients.append([own.grad, *(p.grad for p in module.parameters())])
        torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=0)
    assert recomputed[1].num_batches_tracked == 2
    for name, value in kept.state_dict().items():
        assert torch.equal(recomputed.state_dict()[name], value), name
    with pytest.raises(RuntimeError, match='prototype_labels'):
        recomputed(x)
