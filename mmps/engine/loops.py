"""MMEngine's training loops, made to go on from any checkpoint as if never interrupted.

What a checkpoint of MMEngine lacks for that is not added to it but made unnecessary: data and
random numbers follow from the seed and the iteration (see :mod:`mmps.engine.resumable_loader`).
Where in the epoch a run was, and what it had validated, goes through the message hub, which
MMEngine saves and resumes.
"""

import logging
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.dist import broadcast, get_rank
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmengine.runner.base_loop import BaseLoop

from mmps.registry import LOOPS

from .checkpoints import checkpoint_to_resume, look_for_the_best_here
from .resumable_loader import MODEL, ResumableBatchSampler, build_resumable_loader
from .seeding import seed_generators
from .statistics import running_statistics


class _ResumeHook(Hook):
    """What a resumable loop has to do while the runner prepares training."""

    # Last: validation needs what other hooks prepare.
    priority = 'LOWEST'

    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint to resume from; the runner looks for it after this."""
        if runner._resume:
            runner._load_from = checkpoint_to_resume(runner.work_dir, chosen=runner._load_from)

    def before_train(self, runner: Runner) -> None:
        """Do the validation that the resumed run did not get to."""
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook):
                look_for_the_best_here(hook)
        runner.train_loop.validate_if_pending()

    def before_val_epoch(self, runner: Runner) -> None:
        """Validate what checkpoints hold: of BatchNorms, the statistics of the first process."""
        for statistic in running_statistics(runner.model):
            broadcast(statistic)


class _ResumableLoop(BaseLoop):
    """What the two loops share.

    Args:
        runner: the runner.
        dataloader: config of the training data; the loop builds it anew to resume.
        **kwargs: of the loop of MMEngine.

    Raises:
        TypeError: ``dataloader`` is a loader that was built already.
        ValueError: an epoch has no batch.
    """

    _iter: int

    def __init__(self, runner: Runner, dataloader: dict[str, Any], **kwargs: Any) -> None:
        if not isinstance(dataloader, dict):
            raise TypeError(
                f'{type(self).__name__} needs train_dataloader as a config (a dict), not as a '
                f'{type(dataloader).__name__}: it builds the loader itself.'
            )
        self._loader_config = dataloader
        loader = build_resumable_loader(
            dataloader,
            seed=runner.seed,
            diff_rank_seed=runner._randomness_cfg.get('diff_rank_seed', False),
        )
        super().__init__(runner, loader, **kwargs)
        runner.register_hook(_ResumeHook())

    @property
    def _batches(self) -> ResumableBatchSampler:
        return self.dataloader.batch_sampler

    def run(self) -> Any:
        """Train, from the beginning or from where the resumed run was."""
        if self._iter > 0:
            self._continue()
        self.runner.message_hub.update_info('resume_seed', self._batches.seed)
        return super().run()

    def _continue(self) -> None:
        """Take the place in the data that the checkpoint is from."""
        raise NotImplementedError

    @property
    def _resumed_seed(self) -> int:
        """Seed of the data in the resumed run, which may have drawn it by chance."""
        return self.runner.message_hub.get_info('resume_seed', self._batches.seed)

    def _seed_iteration(self) -> None:
        seed_generators(MODEL, self._batches.seed, self._iter, get_rank())

    def _allow_validation(self) -> None:
        """Note that a checkpoint written from here on has seen the validation of this iteration."""
        self.runner.message_hub.update_info('resume_validated', self._iter)

    def validate_if_pending(self) -> None:
        """Validate if the checkpoint was written where a validation was due, but before it."""
        if self._iter == 0 or self.runner.val_loop is None:
            return
        self._decide_current_val_interval()
        validated = self.runner.message_hub.get_info('resume_validated') == self._iter
        if not validated and self._validation_due():
            self.runner.logger.info(
                'Validation first: the checkpoint is from before the validation that was due.'
            )
            self._allow_validation()
            self.runner.val_loop.run()

    def _validation_due(self) -> bool:
        raise NotImplementedError


@LOOPS.register_module()
class ResumableEpochLoop(_ResumableLoop, EpochBasedTrainLoop):
    """Epochs, resumed exactly: from checkpoints of whole epochs as well as in the middle of one.

    Killed at any moment and resumed, a run ends with the weights, memory, optimiser state and
    logged figures of one that was never interrupted, bit for bit where the device computes
    reproducibly, as CPUs do. What was seen is skipped without being loaded. A validation that was
    due and is not in the checkpoint is done first. If the newest checkpoint is damaged, the one
    before is taken, with a warning.

    Every iteration seeds the generators from the run's seed, the iteration and the process; every
    image is augmented from the seed, the epoch and its place in it. Where several processes train,
    all of them validate with the running statistics of the first one, which checkpoints hold.

    With gradient accumulation, checkpoints should be written where the weights are updated:
    gradients are not saved. Resumed with other data, batch size or number of processes, a run that
    was in the middle of an epoch starts that epoch over, with a warning.

    Args:
        runner: the runner.
        dataloader: config of the training data.
        **kwargs: of :class:`mmengine.runner.EpochBasedTrainLoop`.

    Raises:
        TypeError: ``dataloader`` is a loader that was built already.
        ValueError: an epoch has no batch.
    """

    def __init__(self, runner: Runner, dataloader: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(runner, dataloader, **kwargs)
        # Iterations of the current epoch that were done before the run was resumed.
        self._done = 0

    def _continue(self) -> None:
        if self._resumed_seed != self._batches.seed:
            self.dataloader = build_resumable_loader(self._loader_config, seed=self._resumed_seed)
        place = self.runner.message_hub.get_info('resume_place', {})
        # A checkpoint from the end of an epoch counts the next one already.
        if place.get('epoch') != self._epoch:
            return
        self._done = self._iter - place['first_iter']
        if place['epoch_length'] != len(self.dataloader):
            print_log(
                f'Epoch {self._epoch + 1} starts over: its first {self._done} iterations were done '
                f'where an epoch had {place["epoch_length"]} of them, now it has '
                f'{len(self.dataloader)} (other data, batch size or number of processes).',
                logger='current',
                level=logging.WARNING,
            )
            self._done = 0

    def run_epoch(self) -> None:
        """Iterate one epoch, or the rest of one."""
        place = dict(
            epoch=self._epoch,
            first_iter=self._iter - self._done,
            epoch_length=len(self.dataloader),
        )
        self.runner.message_hub.update_info('resume_place', place)
        self._batches.epoch, self._batches.skip = self._epoch, self._done
        super().run_epoch()
        self._done = 0
        self._allow_validation()

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Iterate one mini-batch, the ``idx``-th that this process loads in the epoch."""
        self._seed_iteration()
        super().run_iter(self._done + idx, data_batch)

    def _validation_due(self) -> bool:
        return (
            self._done == 0
            and self._epoch >= self.val_begin
            and (self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs)
        )


@LOOPS.register_module()
class ResumableIterLoop(_ResumableLoop, IterBasedTrainLoop):
    """Iterations, resumed exactly.

    As :class:`ResumableEpochLoop`; images are augmented from the seed and their place in the
    stream. What was seen is skipped without being loaded with the sampler that MMEngine recommends
    for this loop, ``InfiniteSampler``; with others it is loaded again, as MMEngine does it.

    Args:
        runner: the runner.
        dataloader: config of the training data.
        **kwargs: of :class:`mmengine.runner.IterBasedTrainLoop`.

    Raises:
        TypeError: ``dataloader`` is a loader that was built already.
        ValueError: the data do not fill one batch.
    """

    dataloader_iterator: Iterator[Any]

    def _continue(self) -> None:
        # The loop of MMEngine has drawn from the first loader already, so always a new one.
        self.dataloader = build_resumable_loader(self._loader_config, seed=self._resumed_seed)
        new_iterator: Any = type(self.dataloader_iterator)
        if isinstance(self._batches.sampler, InfiniteSampler):
            self._batches.skip = self._iter
            # MMEngine advances the iterator by as many batches: these take no time.
            skipped = repeat(None, self._iter)
            self.dataloader_iterator = chain(skipped, new_iterator(self.dataloader))
        else:
            self.dataloader_iterator = new_iterator(self.dataloader)

    def run_iter(self, data_batch: Any) -> None:
        """Iterate one mini-batch."""
        self._seed_iteration()
        super().run_iter(data_batch)
        self._allow_validation()

    def _validation_due(self) -> bool:
        return self._iter >= self.val_begin and (
            self._iter % self.val_interval == 0 or self._iter == self._max_iters
        )
