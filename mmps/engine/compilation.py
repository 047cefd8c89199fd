"""Parts of a model by ``torch.compile``, which may fail: then they run as they are."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch._functorch.config as functorch_config
from torch import nn


def compile_module(module: nn.Module, on_failure: Callable[[str], object], **options: Any) -> None:
    """Let PyTorch compile a module when it is used, or leave it as it is where that fails.

    Its ``forward`` is replaced; weights keep their names. The backward pass is compiled when the
    forward pass is, so that it may fail likewise; releases of PyTorch without a setting for that
    compile it later, where a failure is raised.

    Args:
        module: any.
        on_failure: gets the first line of the error. What fails without compilation, too, and a
            lack of memory are raised instead.
        options: of :func:`torch.compile`.
    """
    eager = module.forward
    compiled = torch.compile(eager, **options)

    def forward(*args: Any, **kwargs: Any) -> Any:
        try:
            with _backward_at_once():
                return compiled(*args, **kwargs)
        except torch.cuda.OutOfMemoryError:  # the name that it has in old releases, too
            raise
        except Exception as error:  # of any kind: PyTorch's, a compiler's, Triton's
            outputs = eager(*args, **kwargs)
            del module.forward
            cause = getattr(error, 'inner_exception', error)  # of BackendCompilerFailed
            on_failure(f'{type(cause).__name__}: {cause}'.splitlines()[0])
            return outputs

    module.forward = forward


def _backward_at_once() -> AbstractContextManager[object]:
    """PyTorch compiles the backward pass together with the forward pass, where it can."""
    if not hasattr(functorch_config, 'force_non_lazy_backward_lowering'):
        return nullcontext()
    patch: AbstractContextManager[object] = functorch_config.patch(
        force_non_lazy_backward_lowering=True
    )
    return patch
