from collections.abc import Sequence
from contextlib import ExitStack
from functools import wraps
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.optim import Optimizer

from mmps.models.losses import InstanceMatchingLoss, ShardedLookupTable
from mmps.registry import HOOKS


@HOOKS.register_module()
class MemoryHook(Hook):
    """Keep the memory of the re-identification loss in step with training.

    Before training it checks that the lookup table fits the dataset; where nobody has an identity
    any does, with a warning. After every iteration it commits the staged rows, before a checkpoint
    of that iteration is written, and every ``interval`` iterations it logs what the memory looks
    like as ``memory_*``: the figures of
    :meth:`~mmps.models.losses.InstanceMatchingLoss.statistics`.

    An iteration whose optimiser step is skipped, because gradients overflowed in mixed precision,
    leaves the memory as it was. With gradient accumulation (``accumulative_counts``) the memory
    is updated by every iteration, that is once per forward pass, more often than the weights.

    Where lookup tables are spread over the processes, it lets checkpoints hold them whole: the
    runner takes the model's state in the first process alone, so their parts are sent there as
    soon as all processes come to save a checkpoint. An ``EMAHook`` averages the weights alone: its
    copy of such a table is never used, and ``ema_state_dict`` of a checkpoint lacks it.

    Args:
        interval: iterations between two logs; as the logger's.
    """

    # Before CheckpointHook (VERY_LOW), so that a checkpoint holds the step it is named after, and
    # EMAHook (NORMAL), which copies the memory; after NonFiniteLossHook (ABOVE_NORMAL).
    priority = 45

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self._stepped = False

    def before_run(self, runner: Runner) -> None:
        """See to it that checkpoints hold lookup tables whole."""
        losses = [loss for _, loss in self._losses(runner)]
        tables = [loss.table for loss in losses if isinstance(loss.table, ShardedLookupTable)]
        if tables:
            _save_whole(runner, tables)

    def before_train(self, runner: Runner) -> None:
        """Check the size of the lookup table, and watch the optimiser.

        Raises:
            ValueError: if the table and the training dataset differ in their number of persons, or
                if several datasets are concatenated whose identities differ.
        """
        datasets = [d for d in _parts(runner.train_dataloader.dataset) if hasattr(d, 'num_persons')]
        if datasets:
            self._check_table(runner, datasets)
        # The gradient scaler of mixed precision does not call a step that it skips.
        runner.optim_wrapper.optimizer.register_step_post_hook(self._note_step)

    def _check_table(self, runner: Runner, datasets: Sequence[Any]) -> None:
        labelled = [dataset for dataset in datasets if dataset.num_persons > 0]
        if len(labelled) > 1:
            _check_numbering(runner, labelled)
        dataset = max(datasets, key=lambda dataset: dataset.num_persons)
        persons = dataset.num_persons
        if persons == 0:
            runner.logger.warning(
                f'Nobody in the training dataset ({type(dataset).__name__}) has an identity: the '
                're-identification loss is 0, and whatever the num_persons of the lookup table, it '
                'stays as it is.'
            )
            return
        for name, loss in self._losses(runner):
            if loss.num_persons != persons:
                raise ValueError(
                    f'model.{name}.num_persons={loss.num_persons}, but the training dataset '
                    f'({type(dataset).__name__}) has {persons} labelled persons; set '
                    f'model.{name}.num_persons={persons} in the config.'
                )

    def before_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Forget the step of the iteration before."""
        self._stepped = False

    def _note_step(self, optimizer: Optimizer, *args: object) -> None:
        # A fused optimiser is called always, and skips by itself what the scaler found.
        found_inf = getattr(optimizer, 'found_inf', None)
        self._stepped = found_inf is None or not bool(found_inf)

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Commit the rows of this iteration, unless its step was skipped, and log."""
        skipped = runner.optim_wrapper.should_update() and not self._stepped
        for _, loss in self._losses(runner):
            if skipped:
                loss.discard()
            loss.commit()
            if self.every_n_train_iters(runner, self.interval):
                for name, value in loss.statistics().items():
                    runner.message_hub.update_scalar(f'train/memory_{name}', value)

    @staticmethod
    def _losses(runner: Runner) -> list[tuple[str, InstanceMatchingLoss]]:
        model: nn.Module = runner.model.module if is_model_wrapper(runner.model) else runner.model
        return [
            (name, m) for name, m in model.named_modules() if isinstance(m, InstanceMatchingLoss)
        ]


def _parts(dataset: Any) -> list[Any]:
    """The datasets that a training dataset is made of."""
    if hasattr(dataset, 'datasets'):  # ConcatDataset
        return [part for whole in dataset.datasets for part in _parts(whole)]
    if hasattr(dataset, 'dataset'):  # RepeatDataset, ClassBalancedDataset
        return _parts(dataset.dataset)
    return [dataset]


def _check_numbering(runner: Runner, datasets: Sequence[Any]) -> None:
    names = ', '.join(type(dataset).__name__ for dataset in datasets)
    first, *others = (getattr(dataset, 'metainfo', {}).get('person_ids') for dataset in datasets)
    if first is None or any(person_ids != first for person_ids in others):
        raise ValueError(
            f'The training data are {len(datasets)} datasets ({names}), each of which numbers its '
            'identities from 0: different persons would share a row of the lookup table. Merge '
            'their annotations into one COCO JSON in which every person has a person_id of their '
            'own, for mmps.CocoPersonSearchDataset (docs/custom_data.md).'
        )
    runner.logger.warning(
        f'The training data are {len(datasets)} datasets ({names}) with the same person_ids, which '
        'are taken for the same persons. If they are not, merge their annotations into one COCO '
        'JSON in which every person has a person_id of their own (docs/custom_data.md).'
    )


def _save_whole(runner: Runner, tables: list[ShardedLookupTable]) -> None:
    # CheckpointHook calls it in every process, when it is due by whichever of its settings; no
    # hook runs in every process between that decision and the model's state_dict.
    save_checkpoint = runner.save_checkpoint

    @wraps(save_checkpoint)
    def gather_and_save(*args: object, **kwargs: object) -> None:
        with ExitStack() as stack:
            for table in tables:
                stack.enter_context(table.whole())
            save_checkpoint(*args, **kwargs)

    runner.save_checkpoint = gather_and_save
    for table in tables:
        table.saved_whole = True
