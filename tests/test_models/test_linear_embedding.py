from typing import Any

import pytest
import torch
from torch import nn

from mmps.models import LinearEmbedding, ProtoNorm1d, prototype_labels

PN1D = dict(type='mmps.PN1d', affine=False)


@pytest.mark.parametrize('bias', [False, True])
def test_linear_and_l2_on_the_last_features(bias: bool) -> None:
    torch.manual_seed(0)
    head = LinearEmbedding(7, 6, bias=bias)
    c5 = torch.randn(9, 7)
    embeddings, logits = head((torch.randn(9, 5), c5))
    x = c5 @ head.linear.weight.t()
    if bias:
        x = x + head.linear.bias
    torch.testing.assert_close(embeddings, x / x.pow(2).sum(dim=1, keepdim=True).sqrt())
    assert logits is None
    assert head.dim == 6
    assert isinstance(head.norm, nn.Identity)
    assert (head.linear.bias is not None) == bias


def test_proto_norm_before_l2() -> None:
    torch.manual_seed(0)
    head = LinearEmbedding(7, 6, norm_cfg=PN1D)
    assert isinstance(head.norm, ProtoNorm1d)
    assert not head.norm.affine
    x, pids = torch.randn(9, 7), torch.tensor([0, 0, 0, 0, 1, -1, -2, -2, -2])
    with prototype_labels(head, pids):
        embeddings, _ = head((x,))
    linear = x @ head.linear.weight.t()
    prototypes = [linear[pids == pid].mean(dim=0) for pid in (0, 1, -1, -2)]
    mean = torch.stack(prototypes).mean(dim=0)
    normed = (linear - mean) / ((linear - mean).square().mean(dim=0) + head.norm.eps).sqrt()
    torch.testing.assert_close(embeddings, normed / normed.norm(dim=1, keepdim=True))

    embeddings, _ = head.eval()((x,))
    tracked = (linear - head.norm.running_mean) / (head.norm.running_var + head.norm.eps).sqrt()
    torch.testing.assert_close(embeddings, tracked / tracked.norm(dim=1, keepdim=True))


@pytest.mark.parametrize('norm_cfg', [None, dict(type='BN1d'), PN1D])
def test_initial_weights(norm_cfg: dict[str, Any] | None) -> None:
    torch.manual_seed(0)
    head = LinearEmbedding(400, 256, norm_cfg=norm_cfg)
    head.init_weights()
    assert head.linear.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert head.linear.bias is None


def test_half_precision_gives_float32_of_norm_1() -> None:
    torch.manual_seed(0)
    head = LinearEmbedding(7, 6)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        embeddings, _ = head((torch.randn(9, 7),))
    assert embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(9))


def test_zero_features_give_no_nan() -> None:
    head = LinearEmbedding(4, 6)
    x = torch.zeros(3, 4, requires_grad=True)
    embeddings, _ = head((x,))
    embeddings.sum().backward()
    assert (embeddings == 0).all()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
