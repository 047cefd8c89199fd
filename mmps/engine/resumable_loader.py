"""Training data as a function of a seed and a place in the stream, of nothing else.

The batches of a loader and the augmentation in them do not depend on what was loaded before, on
the number of workers, or, image by image, on the number of processes that share the data. So a run
can go on anywhere, without loading what it has already seen.
"""

from collections.abc import Iterator, Sized
from typing import Any

from mmengine.dist import get_dist_info
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset, Sampler

from .seeding import seed_generators

# The first number of a key says what it is for.
AUGMENTATION, MODEL = 0, 1


class SeededIndex(int):
    """Index of an item, with the key from which its augmentation is seeded."""

    key: tuple[int, ...]

    def __new__(cls, index: int, key: tuple[int, ...]) -> 'SeededIndex':
        """Make an index that equals ``index``."""
        seeded = super().__new__(cls, index)
        seeded.key = key
        return seeded

    def __getnewargs__(self) -> tuple[int, tuple[int, ...]]:  # type: ignore[override]
        return int(self), self.key


class SeededDataset(Dataset):
    """A dataset whose items draw their random numbers from the key of their index.

    Args:
        dataset: of any kind; its attributes can be read from this one, too.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, index: SeededIndex) -> Any:
        seed_generators(*index.key)
        return self.dataset[int(index)]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        # `__getitems__` of a dataset would go around the seeding; 'dataset' is not there yet
        # while a worker unpickles this.
        if name.startswith('__') or name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)


class ResumableBatchSampler(Sampler[list[SeededIndex]]):
    """The batches of another batch sampler, with indices that carry the key of their place.

    The n-th index of rank r in a pass has the place n * (number of processes) + r, which is the
    place it would have in one process: MMEngine's samplers deal the images out in turns.

    Args:
        batches: the batch sampler; what it yields may hang on the seed and the epoch of its
            ``sampler`` alone.
        seed: of the keys.

    Attributes:
        epoch: of the next pass; it counts by itself.
        skip: how many batches the next pass leaves out at its beginning.
    """

    def __init__(self, batches: Any, *, seed: int) -> None:
        self.batches = batches
        self.seed = seed
        # Where MMEngine's hooks look for them.
        self.sampler: Sized = batches.sampler
        self.batch_size: int = batches.batch_size
        self.epoch = 0
        self.skip = 0

    def __len__(self) -> int:
        """Batches of a whole pass, whatever ``skip`` is."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[SeededIndex]]:
        # A pass begins when its first batch is asked for: loaders make iterators that they drop.
        epoch, skip = self.epoch, self.skip
        self.epoch, self.skip = epoch + 1, 0
        place, world_size = get_dist_info()
        for number, batch in enumerate(self.batches):
            places = range(place, place + len(batch) * world_size, world_size)
            place = places.stop
            if number >= skip:
                yield [
                    SeededIndex(index, (AUGMENTATION, self.seed, epoch, at))
                    for index, at in zip(batch, places, strict=True)
                ]


def build_resumable_loader(
    config: dict[str, Any], *, seed: int, diff_rank_seed: bool = False
) -> DataLoader:
    """Build a data loader as MMEngine's runner does, and make it resumable.

    Its ``batch_sampler`` is a :class:`ResumableBatchSampler`, whose seed is that of the sampler.

    Args:
        config: as ``train_dataloader`` in a config file.
        seed: for the sampler, unless the config has another one.
        diff_rank_seed: whether ``seed`` differs by process: the sampler then makes one of its own.

    Raises:
        ValueError: an epoch has no batch.
    """
    loader = Runner.build_dataloader(config, seed=seed, diff_rank_seed=diff_rank_seed)
    batches = loader.batch_sampler
    if len(batches) == 0:
        raise ValueError(
            f'train_dataloader gives no batch in an epoch: {len(loader.dataset)} items over '
            f'{get_dist_info()[1]} processes do not fill one batch of {batches.batch_size}; '
            'lower train_dataloader.batch_size, or set train_dataloader.drop_last=False.'
        )
    return DataLoader(
        SeededDataset(loader.dataset),
        batch_sampler=ResumableBatchSampler(batches, seed=getattr(batches.sampler, 'seed', seed)),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=loader.generator,
        prefetch_factor=loader.prefetch_factor,
        persistent_workers=loader.persistent_workers,
    )
