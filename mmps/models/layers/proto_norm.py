"""Prototype normalisation (OIMNet++, ECCV 2022, arXiv 2207.10320, eq. 5 and 6).

Shapes: B rows (RoIs) of a step, K prototypes, C channels.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm

from mmps.models.collectives import gather_rows
from mmps.models.recomputation import is_recomputed
from mmps.registry import MODELS

from .prototype_statistics import (
    Statistics,
    normalise,
    prototype_statistics,
    prototype_weights,
)


class _ProtoNorm(_InstanceNorm):
    """What ProtoNorm is for rows and for maps.

    The names in its ``state_dict`` are those of BatchNorm. To PyTorch and MMEngine it is a norm
    layer (``norm_decay_mult`` reaches it), but not a ``_BatchNorm``: the conversion to
    ``SyncBatchNorm`` (``sync_bn`` in a config) has to leave it alone. It needs none: where several
    processes train together, prototypes and statistics are those of the rows of all of them.

    Where activation checkpointing (``with_cp``) runs a forward pass again in the backward pass, it
    normalises by the statistics of the first time and tracks nothing, unlike BatchNorm. Each
    forward pass must then be followed by its backward pass before the next one.
    """

    # Named as a BatchNorm ("bn1"), so that published ResNets load where it takes the place of one.
    _abbr_ = 'bn'
    # Of one forward pass: the weight of each row, and the identities of the rows of all processes,
    # which are counted. (A number would be compiled in, another one compiled again.)
    _labels: tuple[Tensor, Tensor] | None = None
    # Of the last forward pass, for activation checkpointing, which runs it again.
    _statistics: Statistics | None = None
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
        if x.dtype.itemsize >= 4 and not torch.is_autocast_enabled(x.device.type):
            return self._normalise(x)
        with torch.autocast(x.device.type, enabled=False):
            return self._normalise(x.to(torch.promote_types(x.dtype, torch.float32))).to(x.dtype)

    def _normalise(self, x: Tensor) -> Tensor:
        if self._labels is not None:
            weights, everybody = self._labels
            total_rows = len(everybody)
            if len(weights) != len(x):
                raise ValueError(
                    f'{type(self).__name__} got {len(x)} rows, but prototype_labels '
                    f'{len(weights)} pids; give one pid a row.'
                )
            if total_rows == 0:
                return x
            statistics = prototype_statistics(x, weights, total_rows * x.shape[2:].numel())
            self._track(statistics.mean, statistics.var, statistics.num)
            self._statistics = statistics
        if self._statistics is None or (self._labels is None and not is_recomputed()):
            raise RuntimeError(
                f'{type(self).__name__} needs the identities of its rows in training: run the '
                'forward pass inside `with prototype_labels(module, pids):`, as the RoI heads of '
                'mmps do, or choose BatchNorm.'
            )
        return normalise(x, self._statistics, self.eps, weight=self.weight, bias=self.bias)

    def _track(self, mean: Tensor, var: Tensor, n: int) -> None:
        """Follow mean and unbiased variance of n values a channel; one value has no variance."""
        self.num_batches_tracked.add_(1)
        rate = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, rate)
        if n > 1:
            self.running_var.lerp_(var * (n / (n - 1)), rate)


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
            labels = prototype_weights(pids, everybody), everybody
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
