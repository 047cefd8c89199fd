from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmps.datasets.messages import examples
from mmps.models.collectives import holds_everywhere
from mmps.registry import HOOKS

from .batches import metainfos


@HOOKS.register_module()
class UnreadableImagesHook(Hook):
    """Report training images that ``mmps.LoadImage(skip_unreadable=True)`` could not read.

    Each is reported once, by name, and once too many of them end the training.

    Args:
        max_share: share of the training images that may be unreadable.

    Raises:
        ValueError: in training, if more are.
    """

    def __init__(self, max_share: float = 0.01) -> None:
        self.max_share = max_share
        self._known: set[str] = set()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Report what is new in this batch, of all processes."""
        found = {name for meta in metainfos(data_batch) for name in meta.get('unreadable', ())}
        if holds_everywhere(found <= self._known):
            return
        new = sorted(set().union(*all_gather_object(found)) - self._known)
        self._known.update(new)
        total = len(runner.train_dataloader.dataset)
        for name in new:
            runner.logger.warning(f'An image cannot be read, another one takes its place: {name}')
        if len(self._known) > self.max_share * total:
            raise ValueError(
                f'{len(self._known)} of {total} training images cannot be read, more than '
                f'max_share={self.max_share} of mmps.UnreadableImagesHook allows: '
                f'{examples(sorted(self._known))}. Restore them, or raise max_share.'
            )
