"""A tiny run with everything that a resumed run could get wrong, and ways to kill it."""

import multiprocessing
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmps.engine.hooks import MemoryHook
from mmps.models import DOIMLoss

PERSONS, QUEUE, DIM = 4, 5, 6
ITEMS, BATCH = 11, 2
EPOCH = 6  # iterations, the last one of a single item


class TinyModel(BaseModel):
    """Dropout, BatchNorm and DOIM's memory: what draws numbers and what carries state."""

    def __init__(self, num_persons: int = PERSONS, queue_size: int = QUEUE) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, DIM), nn.Dropout(0.3), nn.BatchNorm1d(DIM))
        self.loss_reid = DOIMLoss(num_persons, queue_size, dim=DIM)

    def forward(self, x: Tensor, pid: Tensor, mode: str, **others: Any) -> Any:
        # A last batch of one row has no statistics of its own.
        with_statistics = mode == 'loss' and len(x) > 1
        self.layers.train(with_statistics)
        rows = F.normalize(self.layers(x))
        if mode == 'predict':
            return [row.sum() for row in rows]
        noise = torch.rand(()) + float(np.random.rand()) + random.random()  # noqa: NPY002
        losses = dict(loss_reid=self.loss_reid(rows, pid), loss_norm=noise * rows[:, 0].mean())
        self.train()
        return losses


class Rows(Dataset):
    """Rows that, to train with, every generator changes when they are loaded."""

    metainfo = dict(classes=('person',))
    num_persons = PERSONS

    def __init__(self, *, augmented: bool) -> None:
        self.augmented = augmented
        self.loaded: list[int] = []

    def __len__(self) -> int:
        return ITEMS

    def __getitem__(self, index: int) -> dict[str, Any]:
        self.loaded.append(index)
        x = torch.tensor([index, index % 3, 1.0]) / 4
        if self.augmented:
            by_numpy = np.random.rand()  # noqa: NPY002
            x += 0.1 * torch.tensor([by_numpy, random.random(), float(torch.rand(()))])
        return dict(x=x, pid=index % (PERSONS + 1) - 1)


class Mean(BaseMetric):
    """Mean of what the model predicts."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [float(sample) for sample in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return dict(mean=sum(results) / len(results))


class Kill(Hook):
    """Kills the process where a stage of an iteration begins."""

    priority = 'LOWEST'

    def __init__(self, stage: str, iteration: int) -> None:
        self.iteration = iteration
        setattr(self, stage, self._kill)

    def _kill(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if runner.iter == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)


def make_runner(
    work_dir: Path,
    *,
    by_epoch: bool = True,
    checkpoint: dict[str, Any],
    sampler: str = 'DefaultSampler',
    workers: int = 0,
    resume: bool = False,
    seed: int | None = 7,
    hooks: tuple[Hook, ...] = (),
    **changes: Any,
) -> Runner:
    """Three epochs, or as many iterations, with warm-up and a validation now and then."""
    # As new processes have it: whatever seeds are not set are drawn by chance.
    random.seed()
    np.random.seed()  # noqa: NPY002
    torch.seed()
    loader = dict(num_workers=workers, persistent_workers=workers > 0, collate_fn=COLLATE)
    train_cfg = (
        dict(type='mmps.ResumableEpochLoop', max_epochs=3)
        if by_epoch
        else dict(type='mmps.ResumableIterLoop', max_iters=3 * EPOCH, val_interval=4)
    )
    settings: dict[str, Any] = dict(
        model=dict(type=TinyModel),
        work_dir=str(work_dir),
        experiment_name=f'{work_dir.as_posix()}{"_resumed" if resume else ""}',
        train_dataloader=dict(
            batch_size=BATCH,
            dataset=Rows(augmented=True),
            sampler=dict(type=sampler, shuffle=True),
            **loader,
        ),
        train_cfg=train_cfg,
        val_dataloader=dict(
            batch_size=BATCH,
            dataset=Rows(augmented=False),
            sampler=dict(type='DefaultSampler', shuffle=False),
            **loader,
        ),
        val_cfg=dict(),
        val_evaluator=[Mean()],
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.05), clip_grad=dict(max_norm=1.0)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=7),
            dict(type='MultiStepLR', by_epoch=by_epoch, milestones=[2 if by_epoch else 12]),
        ],
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=4),
            checkpoint=dict(
                type='CheckpointHook',
                interval=1,
                max_keep_ckpts=3,
                save_best='mean',
                rule='greater',
                backend_args=dict(backend='atomic'),
                **checkpoint,
            ),
        ),
        custom_hooks=[MemoryHook(interval=1), *hooks],
        log_processor=dict(by_epoch=by_epoch),
        visualizer=dict(
            type='Visualizer',
            name=f'{work_dir.as_posix()}{resume}',
            vis_backends=[dict(type='LocalVisBackend')],
        ),
        randomness=dict(seed=seed),
        resume=resume,
        default_scope='mmengine',
        log_level='WARNING',
    )
    settings.update(changes)
    return Runner(**settings)


COLLATE = dict(type='default_collate')


def start_child(function: Callable[[], Any]) -> BaseProcess:
    """Call a function in a process of its own, which ends with it."""

    def call() -> None:
        os.setpgrp()
        torch.set_num_threads(1)  # threads do not survive a fork
        function()

    process = multiprocessing.get_context('fork').Process(target=call)
    process.start()
    return process


def wait_for(child: BaseProcess) -> int | None:
    """The exit code of a child; what it leaves behind, such as workers of a loader, is killed."""
    child.join()
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    return child.exitcode


def run_and_kill(work_dir: Path, stage: str, iteration: int, **settings: Any) -> None:
    """Train in another process until SIGKILL ends it."""
    kill = Kill(stage, iteration)
    child = start_child(lambda: make_runner(work_dir, hooks=(kill,), **settings).train())
    code = wait_for(child)
    assert code == -signal.SIGKILL, code


def train(work_dir: Path, **settings: Any) -> Runner:
    """Train to the end, and keep what was logged up to then."""
    runner = make_runner(work_dir, **settings)
    runner.train()
    if runner.rank == 0:
        torch.save(runner.message_hub.log_scalars, work_dir / 'figures.pt')
    return runner


def outcome(work_dir: Path) -> dict[str, Any]:
    """All that a run ends with, but for the times that were measured."""
    path = (work_dir / 'last_checkpoint').read_text()
    checkpoint = torch.load(path, weights_only=True)
    scalars = torch.load(work_dir / 'figures.pt', weights_only=True)
    return dict(
        place={key: checkpoint['meta'][key] for key in ('epoch', 'iter', 'seed')},
        weights_and_memory=dict(checkpoint['state_dict']),
        optimizer=checkpoint['optimizer'],
        schedulers=checkpoint['param_schedulers'],
        figures={
            name: torch.from_numpy(np.stack(buffer.data).astype(float))
            for name, buffer in scalars.items()
            if not name.endswith('time')
        },
        checkpoints=sorted(checkpoint.name for checkpoint in work_dir.glob('*.pth')),
    )


def assert_same_outcome(work_dir: Path, reference: Path, *, iterations: int = 3 * EPOCH) -> None:
    """Bit for bit."""
    ours, theirs = outcome(work_dir), outcome(reference)
    assert theirs['figures']['train/memory_cosine_table'].unique().numel() > 4
    assert len(theirs['figures']['train/loss'][0]) == iterations
    found = '\n'.join(differences(ours, theirs))
    assert not found, found


def differences(ours: Any, theirs: Any, where: str = '') -> Iterator[str]:
    """Where two nested structures differ, in tensors bit for bit."""
    if isinstance(theirs, dict) and isinstance(ours, dict) and theirs.keys() == ours.keys():
        for key in theirs:
            yield from differences(ours[key], theirs[key], f'{where}[{key!r}]')
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(*pair, f'{where}[{number}]')
    elif isinstance(theirs, torch.Tensor):
        if ours.shape != theirs.shape or ours.numpy().tobytes() != theirs.numpy().tobytes():
            yield f'{where}: {ours} != {theirs}'
    elif ours != theirs:
        yield f'{where}: {ours} != {theirs}'


def in_processes(function: Callable[[], Any], folder: Path) -> list[int | None]:
    """Call a function in two processes that train together; returns their exit codes."""

    def call(rank: int) -> None:
        os.environ.update(LOCAL_RANK=str(rank))
        store = f'file://{folder}/store'
        dist.init_process_group('gloo', init_method=store, rank=rank, world_size=2)
        function()
        dist.destroy_process_group()

    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'store').unlink(missing_ok=True)
    children = [start_child(partial(call, rank)) for rank in (0, 1)]
    return [wait_for(child) for child in children]


# DistributedDataParallel on CPUs; MMEngine's default is a GPU for every process.
TOGETHER: dict[str, Any] = dict(
    launcher='pytorch',
    cfg=dict(
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
        )
    ),
)
