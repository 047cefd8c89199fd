from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop

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
        ValueError: when a checkpoint is loaded, if table or queue have another size.
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
            for part, setting, shape in (
                ('table', 'num_persons', loss.table.shape),
                ('queue', 'queue_size', loss.queue.vectors.shape),
            ):
                loaded = state.get(f'{name}.{part}.vectors')
                if loaded is None or loaded.shape == shape:
                    continue
                if loaded.shape[1] != shape[1]:
                    setting, size = 'dim', loaded.shape[1]
                else:
                    size = len(loaded)
                source = runner._load_from or 'The checkpoint'
                raise ValueError(
                    f'{source}: the {part} of its memory ({name}.{part}) is of size '
                    f'{tuple(loaded.shape)}, that of the model is {tuple(shape)}. To go on '
                    f'with its data, set model.{name}.{setting}={size} as there; to start from '
                    'its weights with other persons, use load_from without resuming and '
                    'mmps.MemoryCheckpointHook(discard=True) in custom_hooks.'
                )
