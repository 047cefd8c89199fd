"""The arithmetic of ProtoNorm in training: its statistics, and the gradient through them.

Shapes: B rows (RoIs) of a step, K prototypes, C channels.
"""

from typing import Any, NamedTuple

import torch
from mmengine.dist import get_world_size
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmps.models.collectives import sum_of_statistics


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

    shares = share(everybody)
    # As many rows as everybody: those of no other process are among them.
    own = shares if len(pids) == len(everybody) else share(pids)
    return own / shares.sum()


class Statistics(NamedTuple):
    """What a forward pass normalises by; the same in every process but for the weights.

    Attributes:
        weights: (B,), of :func:`prototype_weights`, in the type of the input.
        num: values a channel.
        mean: (C,), of the prototypes.
        var: (C,), around it, of all values.
        offset: (C,), of the mean of all values from that of the prototypes.
    """

    weights: Tensor
    num: int
    mean: Tensor
    var: Tensor
    offset: Tensor


def prototype_statistics(x: Tensor, weights: Tensor, num: int) -> Statistics:
    """Statistics of the input of all processes, without gradients.

    Args:
        x: (B, C, ...), the rows of this process.
        weights: (B,), of :func:`prototype_weights`.
        num: values a channel in all processes.
    """
    x = x.detach()
    together = get_world_size() > 1
    weights = weights.to(x.dtype)
    rows = x.flatten(2).mean(dim=2) if x.dim() > 2 else x
    mean = torch.mv(rows.t(), weights)
    if together:
        mean = sum_of_statistics(mean)
    if len(x) > 0:
        # BatchNorm's own kernel: one pass over the values, and nothing of their size is written.
        own, var = torch.batch_norm_update_stats(x, None, None, 0.0)
        offset = own - mean
        var = torch.addcmul(var, offset, offset)
    else:
        var, offset = torch.zeros_like(mean), torch.zeros_like(mean)
    if together:
        share = len(x) * x.shape[2:].numel() / num
        var, offset = sum_of_statistics(share * torch.stack([var, offset])).unbind()
    return Statistics(weights, num, mean, var, offset)


class _Normalise(torch.autograd.Function):
    """``(x - mean) / sqrt(var + eps)``, then weight and bias; its gradient is written by hand.

    With y the output before weight and bias, w the weights of the rows, n values a channel in P
    positions a row, ``s = sum(g y)`` and ``t = sum(g) - s mean(y)``, the gradient of x in row b is
    ``weight (g - y s / n - w_b t / P) / sqrt(var + eps)``, where the sums are those of all
    processes. Autograd takes twice as many passes over the values for it, and such passes are what
    the time of a norm layer goes into.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        statistics: Statistics,
        eps: float,
        weight: Tensor | None,
        bias: Tensor | None,
    ) -> Tensor:
        """Normalise x (B, C, ...) by its statistics."""
        weights, ctx.num, mean, var, offset = statistics
        scale = (var + eps).rsqrt_()
        factor = scale if weight is None else scale * weight
        shift = -mean * factor if bias is None else torch.addcmul(bias, mean, factor, value=-1)
        ctx.save_for_backward(x, weights, mean, scale, offset, factor)
        shift, factor = _of_channels(x, shift, factor)
        return torch.addcmul(shift, x, factor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, weight and bias."""
        x, weights, mean, scale, offset, factor = ctx.saved_tensors
        if len(x) > 0:
            # BatchNorm's own kernel: both sums in one pass.
            _, d_weight, d_bias = _batch_norm_backward(
                g, x, None, None, None, mean, scale, True, 0.0, [False, True, True]
            )
        else:
            d_weight, d_bias = torch.zeros_like(mean), torch.zeros_like(mean)
        s, t = d_weight, d_bias
        if get_world_size() > 1:
            s, t = sum_of_statistics(torch.stack([s, t])).unbind()
        slope = s * scale
        t = torch.addcmul(t, slope, offset, value=-1).mul_(factor)
        slope.mul_(factor).div_(ctx.num)
        shift, factor, slope, t = _of_channels(x, slope * mean, factor, slope, t)
        grad = torch.addcmul(shift, g, factor)
        grad.addcmul_(x, slope, value=-1)
        rows = weights.view(-1, *[1] * (x.dim() - 1))
        grad.addcmul_(rows, t, value=-1 / x.shape[2:].numel())
        affine = (d_weight, d_bias) if ctx.needs_input_grad[3] else (None, None)
        return grad, None, None, *affine


_batch_norm_backward = torch.ops.aten.native_batch_norm_backward.default


def _of_channels(x: Tensor, *vectors: Tensor) -> tuple[Tensor, ...]:
    """Vectors (C,) in a shape that broadcasts to x (B, C, ...)."""
    if x.dim() == 2:
        return vectors
    return tuple(vector.view(-1, *[1] * (x.dim() - 2)) for vector in vectors)


def normalise(
    x: Tensor, statistics: Statistics, eps: float, *, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    """Normalise x, of which the statistics are; gradients flow through them, too.

    Args:
        x: (B, C, ...).
        statistics: those of :func:`prototype_statistics` for x.
        eps: added to the variance.
        weight: (C,), or None.
        bias: (C,), or None; with ``weight``.

    Returns:
        As x.
    """
    return _Normalise.apply(x, statistics, eps, weight, bias)
