from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmps.models.losses import OIMLoss
from mmps.registry import HOOKS


@HOOKS.register_module()
class MemoryHook(Hook):
    """Keep the memory of the re-identification loss in step with training.

    Before training it checks that the lookup table fits the dataset. After every iteration it
    commits the staged rows, before a checkpoint of that iteration is written.
    """

    # Before CheckpointHook (VERY_LOW), so that a checkpoint holds the step it is named after.
    priority = 'NORMAL'

    def before_train(self, runner: Runner) -> None:
        """Check the size of the lookup table.

        Raises:
            ValueError: if the table and the training dataset differ in their number of persons.
        """
        dataset = runner.train_dataloader.dataset
        while hasattr(dataset, 'dataset'):  # RepeatDataset, ClassBalancedDataset
            dataset = dataset.dataset
        persons = getattr(dataset, 'num_persons', None)
        for name, loss in self._losses(runner):
            if persons is not None and loss.num_persons != persons:
                raise ValueError(
                    f'model.{name}.num_persons={loss.num_persons}, but the training dataset '
                    f'({type(dataset).__name__}) has {persons} labelled persons; set '
                    f'model.{name}.num_persons={persons} in the config.'
                )

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Commit the rows of this iteration."""
        for _, loss in self._losses(runner):
            loss.commit()

    @staticmethod
    def _losses(runner: Runner) -> list[tuple[str, OIMLoss]]:
        model: nn.Module = runner.model.module if is_model_wrapper(runner.model) else runner.model
        return [(name, m) for name, m in model.named_modules() if isinstance(m, OIMLoss)]
