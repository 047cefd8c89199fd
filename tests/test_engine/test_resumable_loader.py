"""Batches and augmentation as a function of seed, epoch and place."""

import pickle
from typing import Any

import pytest
import torch
from mmengine.dataset import DefaultSampler
from tiny_run import COLLATE, ITEMS, Rows
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from mmps.engine import build_resumable_loader
from mmps.engine.resumable_loader import SeededDataset, SeededIndex


def make_loader(*, seed: int = 3, workers: int = 0, **changes: Any) -> DataLoader:
    config = dict(
        batch_size=3,
        dataset=Rows(augmented=True),
        sampler=dict(type='DefaultSampler', shuffle=True),
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=COLLATE,
    )
    return build_resumable_loader({**config, **changes}, seed=seed)


def epoch_of(loader: DataLoader, epoch: int, *, skip: int = 0) -> list[Tensor]:
    loader.batch_sampler.sampler.set_epoch(epoch)
    loader.batch_sampler.epoch, loader.batch_sampler.skip = epoch, skip
    return [batch['x'] for batch in loader]


def test_an_epoch_is_the_same_whatever_came_before_and_whoever_loads_it() -> None:
    loader = make_loader()
    expected = [epoch_of(loader, epoch) for epoch in (0, 1, 2)]
    assert [len(batch) for batch in expected[0]] == [3, 3, 3, 2]
    loaders = [make_loader(), make_loader(workers=1), make_loader(workers=2)]
    for other in loaders:
        for epoch in (2, 0):
            for ours, theirs in zip(epoch_of(other, epoch), expected[epoch], strict=True):
                assert torch.equal(ours, theirs)


@pytest.mark.parametrize('workers', [0, 2])
def test_what_is_skipped_is_not_loaded(workers: int) -> None:
    whole = epoch_of(make_loader(), 1)
    loader = make_loader(workers=workers)
    for skip in (1, 3, 4):
        rest = epoch_of(loader, 1, skip=skip)
        assert len(rest) == 4 - skip
        assert all(torch.equal(*pair) for pair in zip(rest, whole[skip:], strict=True))
    assert len(loader) == 4
    assert len(loader.dataset.loaded) == (0 if workers else 8 + 2 + 0)


def test_seeds_epochs_and_places_have_draws_of_their_own() -> None:
    class Same(Rows):
        """One row, again and again."""

        def __getitem__(self, index: int) -> dict[str, Any]:
            return super().__getitem__(0)

    draws = [
        torch.cat(epoch_of(make_loader(seed=seed, dataset=Same(augmented=True)), epoch))
        for seed in (3, 4)
        for epoch in (0, 1)
    ]
    for column in torch.cat(draws).t():  # by NumPy, by Python, by PyTorch
        assert len(column.unique()) == 2 * 2 * ITEMS


def test_an_image_is_augmented_alike_however_many_processes_share_the_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (one,) = epoch_of(make_loader(batch_size=ITEMS), 1)
    for rank in (0, 1):
        for module in ('mmengine.dataset.sampler', 'mmps.engine.resumable_loader'):
            monkeypatch.setattr(f'{module}.get_dist_info', lambda rank=rank: (rank, 2))
        own = torch.cat(epoch_of(make_loader(), 1))
        # Twelve places for eleven items: the last one of rank 1 is the first item again, and an
        # augmentation of its own.
        assert torch.equal(own[:5], one[rank::2][:5])
        assert (len(own), rank + 2 * 5 < ITEMS) in ((6, True), (6, False))


def test_any_batch_sampler_is_followed() -> None:
    class Reversed:
        """Batches from the end, of one item more each."""

        def __init__(self, sampler: DefaultSampler, batch_size: int) -> None:
            self.sampler, self.batch_size = sampler, batch_size

        def __len__(self) -> int:
            return 4

        def __iter__(self) -> Any:
            order = list(self.sampler)[::-1]
            yield from (order[:1], order[1:3], order[3:6], order[6:10])

    loader = make_loader(batch_sampler=dict(type=Reversed))
    whole = epoch_of(loader, 0)
    assert [len(batch) for batch in whole] == [1, 2, 3, 4]
    rest = epoch_of(loader, 0, skip=2)
    assert all(torch.equal(*pair) for pair in zip(rest, whole[2:], strict=True))


def test_a_dataset_is_still_itself() -> None:
    dataset = SeededDataset(Rows(augmented=True))
    assert (len(dataset), dataset.num_persons, dataset.metainfo['classes']) == (11, 4, ('person',))
    with pytest.raises(AttributeError, match='nothing_such'):
        _ = dataset.nothing_such
    copy, index = pickle.loads(pickle.dumps((dataset, SeededIndex(5, (0, 1, 2, 3)))))
    assert (index, index.key) == (5, (0, 1, 2, 3))
    assert torch.equal(copy[index]['x'], dataset[index]['x'])
    # Torch's Subset fetches whole batches, which would go around the seeding.
    subset = SeededDataset(Subset(Rows(augmented=True), range(8)))
    assert not hasattr(subset, '__getitems__')
    assert torch.equal(subset[index]['x'], dataset[index]['x'])


def test_an_epoch_without_a_batch_is_an_error() -> None:
    message = r'11 items over 1 processes do not fill one batch of 12; lower .*batch_size, or set '
    with pytest.raises(ValueError, match=message):
        make_loader(batch_size=12, drop_last=True)
