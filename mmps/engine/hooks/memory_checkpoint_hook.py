from collections.abc import Iterable
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch import Tensor

from mmps.models.losses import InstanceMatchingLoss
from mmps.registry import HOOKS


@HOOKS.register_module()
class MemoryCheckpointHook(Hook):
    """Refuse to train from a checkpoint whose memory does not fit the model's.

    MMEngine would warn among other things and train on with an empty memory. A test does not need
    the memory, so it takes any checkpoint.

    Args:
        discard: train from the weights of a checkpoint (``load_from``) without its memory, because
            its persons are others, even where their number is the same. A run that is resumed
            always keeps its memory.

    Raises:
        ValueError: when a checkpoint is loaded, if table or queue have another size, or the memory
            is of another kind: what OIM's queue holds is not what DOIM's does.
    """

    def __init__(self, *, discard: bool = False) -> None:
        self.discard = discard

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare the memory of the checkpoint with the model's, or leave it out."""
        # Only a run that trains has built its loop by now.
        if not isinstance(runner._train_loop, BaseLoop):
            return
        state = checkpoint.get('state_dict', checkpoint)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        for name, loss in model.named_modules():
            if not isinstance(loss, InstanceMatchingLoss):
                continue
            if self.discard and not runner._resume:
                for key in [key for key in state if key.startswith(f'{name}.')]:
                    del state[key]
                continue
            memory = {key: value for key, value in state.items() if key.startswith(f'{name}.')}
            found = _difference(name, loss, memory) if memory else None
            if found is not None:
                raise ValueError(
                    f'{runner._load_from or "The checkpoint"}: {found} as there; to start from '
                    'its weights without its memory, use load_from without resuming and '
                    'mmps.MemoryCheckpointHook(discard=True) in custom_hooks.'
                )


def _difference(name: str, loss: InstanceMatchingLoss, memory: dict[str, Tensor]) -> str | None:
    """How the memory of a checkpoint differs from that of a loss, and what would make them fit."""
    queue = [f'{name}.queue.{key}' for key, _ in loss.queue.named_buffers()]
    expected = [f'{name}.table.vectors', *queue]
    if memory.keys() != set(expected):
        return (
            f'its memory ({name}) is that of another loss: it has {_list(memory, name)}, that of '
            f'the model {_list(expected, name)}. To go on with its data, set model.{name}.type, '
            'and smr of mmps.DOIMLoss,'
        )
    for part, setting, shape in (
        ('table', 'num_persons', loss.table.shape),
        ('queue', 'queue_size', loss.queue.vectors.shape),
    ):
        loaded = memory[f'{name}.{part}.vectors'].shape
        if loaded != shape:
            setting, size = ('dim', loaded[1]) if loaded[1] != shape[1] else (setting, loaded[0])
            return (
                f'the {part} of its memory ({name}.{part}) is of size {tuple(loaded)}, that of '
                f'the model is {tuple(shape)}. To go on with its data, set '
                f'model.{name}.{setting}={size}'
            )
    return None


def _list(keys: Iterable[str], name: str) -> str:
    return ', '.join(sorted(key.removeprefix(f'{name}.') for key in keys))
