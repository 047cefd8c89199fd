"""Prototype normalisation (OIMNet++, ECCV 2022, arXiv 2207.10320, eq. 5 and 6).

Shapes: B rows (RoIs) of a step, K prototypes, C channels.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm

from mmps.models.collectives import gather_rows, sum_of_statistics
from mmps.registry import MODELS


def prototype_weights(pids: Tensor, everybody: Tensor) -> Tensor:
    """The weight of each row in the mean of the prototypes, ``1 / (K n_y)``.

    A prototype is the mean of the n_y rows of an identity y. Every row of a person without
    identity (-1) is a prototype of its own; background (-2) is one.

    Args:
        pids: (B,) int64: 0..L-1, -1 or -2.
        everybody: (N,) int64, the same of all rows of the step: those of ``pids`` and, where
            several processes train together, of the others.

    Returns:
        (B,) float32; over all rows of the step they sum to 1.
    """
    ordered = everybody.sort().values

    def share(of: Tensor) -> Tensor:
        first, last = (torch.searchsorted(ordered, of, right=right) for right in (False, True))
        return torch.where(of == -1, 1.0, 1 / (last - first))

    return share(pids) / share(everybody).sum()


class _ProtoNorm(_InstanceNorm):
    """What ProtoNorm is for rows and for maps.

    The names in its ``state_dict`` are those of BatchNorm. To PyTorch and MMEngine it is a norm
    layer (``norm_decay_mult`` reaches it), but not a ``_BatchNorm``: the conversion to
    ``SyncBatchNorm`` (``sync_bn`` in a config) has to leave it alone. It needs none: where several
    processes train together, prototypes and statistics are those of the rows of all of them.
    """

    # Named as a BatchNorm ("bn1"), so that published ResNets load where it takes the place of one.
    _abbr_ = 'bn'
    # Of one forward pass: the weight of each row, and the number of rows of all processes.
    _labels: tuple[Tensor, int] | None = None
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        *,
        momentum: float | None = 0.1,
        affine: bool = False,
    ) -> None:
        super().__init__(
            num_features,
            eps,
            momentum,  # type: ignore[arg-type]  # None, too, whatever PyTorch declares
            affine,
            track_running_stats=True,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...); statistics and arithmetic are float32 also under autocast.

        Raises:
            RuntimeError: in training outside of :func:`prototype_labels`.
            ValueError: if there is not one identity a row.
        """
        self._check_input_dim(x)
        if not self.training:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        if self._labels is None:
            raise RuntimeError(
                f'{type(self).__name__} needs the identities of its rows in training: run the '
                'forward pass inside `with prototype_labels(module, pids):`, as the RoI heads of '
                'mmps do, or choose BatchNorm.'
            )
        weights, total_rows = self._labels
        if len(weights) != len(x):
            raise ValueError(
                f'{type(self).__name__} got {len(x)} rows, but prototype_labels {len(weights)} '
                'pids; give one pid a row.'
            )
        if total_rows == 0:
            return x
        with torch.autocast(x.device.type, enabled=False):
            return self._normalise(x, weights, total_rows)

    def _normalise(self, x: Tensor, weights: Tensor, total_rows: int) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        dims = [0, *range(2, x.dim())]
        shape = [1, -1] + [1] * (x.dim() - 2)
        num = total_rows * x.shape[2:].numel()
        rows = wide.mean(dim=dims[1:]) if x.dim() > 2 else wide
        mean = sum_of_statistics(weights.to(wide.dtype) @ rows)
        centred = wide - mean.view(shape)
        var = sum_of_statistics(centred.square().sum(dim=dims)) / num
        self._track(mean.detach(), var.detach(), num)

        out = centred * (var + self.eps).rsqrt().view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(x.dtype)

    def _track(self, mean: Tensor, var: Tensor, n: int) -> None:
        """Follow mean and unbiased variance of n values a channel; one value has no variance."""
        self.num_batches_tracked.add_(1)
        rate = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
        if n > 1:
            self.running_var.lerp_((var * (n / (n - 1))).to(self.running_var.dtype), rate)


@MODELS.register_module(name=['PN1d', 'ProtoNorm1d'])
class ProtoNorm1d(_ProtoNorm):
    """ProtoNorm of feature vectors: the mean of a batch weighs every identity alike.

    In training, with prototypes p_t (the mean row of identity t) of the labels that
    :func:`prototype_labels` gives: ``mu = mean_t(p_t)``, ``sigma^2 = mean_b((x_b - mu)^2)`` and
    the output ``(x - mu) / sqrt(sigma^2 + eps)``; gradients flow through both. Running mean and
    unbiased variance are tracked as BatchNorm does and used in evaluation. With as many rows of
    each identity it is BatchNorm. B counts the rows of all processes that train together.

    Args:
        num_features: C of the input (B, C) or (B, C, N).
        eps: added to the variance.
        momentum: rate of the running statistics; None for their plain average.
        affine: learn a scale and a shift a channel. OIMNet++ has none in its embedding.
    """

    def _check_input_dim(self, x: Tensor) -> None:
        if x.dim() not in (2, 3):
            raise ValueError(f'ProtoNorm1d takes (B, C) or (B, C, N), not {tuple(x.shape)}.')


@MODELS.register_module(name=['PN', 'PN2d', 'ProtoNorm2d'])
class ProtoNorm2d(_ProtoNorm):
    """ProtoNorm of feature maps: a prototype is the mean map of an identity.

    As :class:`ProtoNorm1d`, with the mean over prototypes and positions and the variance over
    rows and positions.

    Args:
        num_features: C of the input (B, C, H, W).
        eps: added to the variance.
        momentum: rate of the running statistics; None for their plain average.
        affine: learn a scale and a shift a channel. OIMNet+++ has them in conv5.
    """

    def _check_input_dim(self, x: Tensor) -> None:
        if x.dim() != 4:
            raise ValueError(f'ProtoNorm2d takes (B, C, H, W), not {tuple(x.shape)}.')


@contextmanager
def prototype_labels(module: nn.Module, pids: Tensor) -> Iterator[None]:
    """Tell every ProtoNorm below a module the identities of its rows, for one forward pass.

    They are forgotten afterwards, also where an exception ends the pass. Where several processes
    train together, all of them have to enter together, each with its own rows, if only with none.

    Args:
        module: the module that is run inside the ``with``.
        pids: (B,) int64, the identity of each row of its input: 0..L-1 labelled, -1 a person
            without identity, -2 background.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, _ProtoNorm)]
    try:
        if layers:
            (everybody,) = gather_rows(pids)
            labels = prototype_weights(pids, everybody), len(everybody)
            for layer in layers:
                layer._labels = labels
        yield
    finally:
        for layer in layers:
            layer._labels = None


_COUNTERPARTS: dict[type[nn.Module], type[_ProtoNorm]] = {
    nn.BatchNorm1d: ProtoNorm1d,
    nn.BatchNorm2d: ProtoNorm2d,
}


def convert_batch_norm(module: nn.Module) -> nn.Module:
    """Replace BatchNorm1d and BatchNorm2d below a module, or itself, by ProtoNorm.

    The new layers take over the parameters and statistics themselves, under the same names: a
    ``state_dict`` fits before and after. OIMNet+++ does so with conv5.

    Args:
        module: changed in place.

    Returns:
        The module; where it is a BatchNorm itself, the layer that takes its place.
    """
    counterpart = _COUNTERPARTS.get(type(module))
    if counterpart is None:
        for name, child in module.named_children():
            module.add_module(name, convert_batch_norm(child))
        return module
    assert isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))
    norm = counterpart(
        module.num_features, module.eps, momentum=module.momentum, affine=module.affine
    )
    for name in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'):
        setattr(norm, name, getattr(module, name))
    return norm.train(module.training)
