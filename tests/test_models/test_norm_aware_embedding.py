import pytest
import torch
from torch import nn

from mmps.models import LinearNorm, NormAwareEmbedding


def test_norm_is_the_logit_and_direction_the_embedding() -> None:
    torch.manual_seed(0)
    head = NormAwareEmbedding((5, 7), 6, norm_cfg=None).eval()
    nn.init.constant_(head.rescaler.weight, 3.0)
    nn.init.constant_(head.rescaler.bias, -0.5)
    head.rescaler.running_mean.fill_(2.0)
    head.rescaler.running_var.fill_(4.0)
    c4, c5 = torch.randn(9, 5), torch.randn(9, 7)
    embeddings, logits = head((c4, c5))

    first, second = head.projectors[0][0], head.projectors[1][0]
    x = torch.cat([first(c4), second(c5)], dim=1)
    norm = x.pow(2).sum(dim=1).sqrt()
    torch.testing.assert_close(embeddings, x / norm[:, None])
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(9))
    torch.testing.assert_close(logits, (norm - 2) / (4 + head.rescaler.eps) ** 0.5 * 3 - 0.5)


def test_statistics_of_the_batch_in_training() -> None:
    torch.manual_seed(0)
    head = NormAwareEmbedding((5, 7), 6)
    features = (torch.randn(30, 5), torch.randn(30, 7))
    _, logits = head(features)
    # Both norms, that of the levels and that of |x|, give mean 0 over the batch.
    assert logits.mean().item() == pytest.approx(0, abs=1e-5)
    assert logits.var(correction=0).item() == pytest.approx(1, abs=1e-2)
    level = head.projectors[1](features[1])
    torch.testing.assert_close(level.mean(dim=0), torch.zeros(3), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ('levels', 'dim', 'sizes'),
    [(2, 256, [128, 128]), (2, 7, [3, 4]), (3, 8, [2, 3, 3]), (1, 5, [5])],
)
def test_dim_is_split_over_the_levels(levels: int, dim: int, sizes: list[int]) -> None:
    head = NormAwareEmbedding((4,) * levels, dim)
    assert [projector[0].out_features for projector in head.projectors] == sizes
    assert [projector[1].num_features for projector in head.projectors] == sizes
    embeddings, logits = head([torch.randn(3, 4)] * levels)
    assert (embeddings.shape, logits.shape) == ((3, dim), (3,))


def test_norm_layer_is_a_setting() -> None:
    plain = NormAwareEmbedding((4, 4), 6, norm_cfg=None)
    assert isinstance(plain.projectors[0][1], nn.Identity)
    layer = NormAwareEmbedding((4, 4), 6, norm_cfg=dict(type='LN'))
    assert isinstance(layer.projectors[0][1], nn.LayerNorm)


@pytest.mark.parametrize('norm_cfg', [None, dict(type='BN1d'), dict(type='BN1d', affine=False)])
def test_initial_weights(norm_cfg: dict | None) -> None:
    torch.manual_seed(0)
    head = NormAwareEmbedding((400, 400), 256, norm_cfg=norm_cfg)
    head.init_weights()
    for projector in head.projectors:
        for layer in projector:
            if getattr(layer, 'weight', None) is not None:
                assert layer.weight.std().item() == pytest.approx(0.01, rel=0.2)
                assert (layer.bias == 0).all()
    # The rescaler starts as any BatchNorm does.
    assert (head.rescaler.weight.item(), head.rescaler.bias.item()) == (1.0, 0.0)


def test_zero_features_give_no_nan() -> None:
    head = NormAwareEmbedding((4, 4), 6, norm_cfg=None)
    nn.init.zeros_(head.projectors[0][0].bias)
    nn.init.zeros_(head.projectors[1][0].bias)
    x = torch.zeros(3, 4, requires_grad=True)
    embeddings, logits = head((x, x))
    (embeddings.sum() + logits.sum()).backward()
    assert torch.isfinite(embeddings).all()
    assert torch.isfinite(logits).all()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_linear_norm() -> None:
    torch.manual_seed(0)
    layer = LinearNorm(3, 4)
    x = torch.randn(16, 3)
    y = layer(x)
    linear = x @ layer[0].weight.t() + layer[0].bias
    want = (linear - linear.mean(0)) / (linear.var(0, correction=0) + layer[1].eps).sqrt()
    torch.testing.assert_close(y, want)
