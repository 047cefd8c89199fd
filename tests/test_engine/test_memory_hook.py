"""The memory of the loss in a real, tiny run."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_checkpoint
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, Dataset, Subset

from mmps.engine.hooks import MemoryHook
from mmps.models import OIMLoss

PERSONS, DIM = 4, 3


class TinyModel(BaseModel):
    """Embeddings by one Linear."""

    def __init__(self, num_persons: int = PERSONS) -> None:
        super().__init__()
        self.linear = nn.Linear(2, DIM)
        self.head = nn.ModuleDict(dict(loss_reid=OIMLoss(num_persons, 5, dim=DIM)))

    @property
    def memory(self) -> OIMLoss:
        return self.head['loss_reid']

    def embed(self, x: Tensor) -> Tensor:
        return F.normalize(self.linear(x))

    def forward(self, x: Tensor, pid: Tensor, mode: str) -> dict[str, Tensor]:
        assert mode == 'loss'
        return dict(loss=self.memory(self.embed(x), pid))


class Rows(Dataset):
    """Eight rows: the persons, and some without identity."""

    pids = torch.tensor([0, -1, 1, -1, 2, 3, 1, -1])
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.pids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return dict(x=self.x[index], pid=int(self.pids[index]))


class TinyDataset(Rows):
    num_persons = PERSONS


def make_runner(
    work_dir: Path,
    *,
    model: TinyModel | None = None,
    dataset: Dataset | None = None,
    max_epochs: int = 1,
    unit: str = 'epoch',
    load_from: Path | None = None,
    optim_wrapper: dict[str, Any] | None = None,
) -> Runner:
    """Two iterations of four rows an epoch, in order; a checkpoint after each ``unit``."""
    torch.manual_seed(0)
    return Runner(
        model=model or TinyModel(),
        work_dir=str(work_dir),
        experiment_name=work_dir.as_posix(),
        train_dataloader=dict(
            batch_size=4,
            dataset=dataset or TinyDataset(),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9), **(optim_wrapper or {})
        ),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=unit == 'epoch')
        ),
        custom_hooks=[MemoryHook()],
        load_from=None if load_from is None else str(load_from),
        resume=load_from is not None,
        default_scope='mmengine',
        log_level='WARNING',
    )


def test_checkpoint_of_an_iteration_holds_its_rows(tmp_path: Path) -> None:
    runner = make_runner(tmp_path, unit='iteration')
    with torch.no_grad():
        rows = runner.model.embed(Rows.x[:4])  # before the first step of the optimiser
    runner.train()
    saved = TinyModel()
    load_checkpoint(saved, str(tmp_path / 'iter_1.pth'))
    expected = torch.zeros(PERSONS, DIM)
    expected[[0, 1]] = rows[[0, 2]]
    torch.testing.assert_close(saved.memory.table.vectors, expected)
    expected = torch.zeros(5, DIM)
    expected[:2] = rows[[1, 3]]
    torch.testing.assert_close(saved.memory.queue.vectors, expected)
    assert saved.memory.queue.head == 2
    # Nothing waits at the end, and the last checkpoint is the model.
    load_checkpoint(saved, str(tmp_path / 'iter_2.pth'))
    runner.model.memory.commit()
    assert torch.equal(saved.memory.table.vectors, runner.model.memory.table.vectors)
    assert saved.memory.queue.head == runner.model.memory.queue.head == 3


def test_resumed_memory_goes_on_as_if_never_interrupted(tmp_path: Path) -> None:
    whole = make_runner(tmp_path / 'whole', max_epochs=3).train()
    resumed = make_runner(
        tmp_path / 'resumed', max_epochs=3, load_from=tmp_path / 'whole' / 'epoch_1.pth'
    ).train()
    assert whole.state_dict().keys() == resumed.state_dict().keys()
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)
    assert whole.memory.queue.head == 9 % 5


@pytest.mark.parametrize('wrapped', [False, True])
def test_size_of_the_table_must_fit_the_dataset(tmp_path: Path, wrapped: bool) -> None:
    dataset = Subset(TinyDataset(), range(8)) if wrapped else TinyDataset()
    runner = make_runner(tmp_path, model=TinyModel(num_persons=7), dataset=dataset)
    message = (
        r'model\.head\.loss_reid\.num_persons=7, but the training dataset \(TinyDataset\) has 4 '
        r'labelled persons; set model\.head\.loss_reid\.num_persons=4 in the config'
    )
    with pytest.raises(ValueError, match=message):
        runner.train()


class Unlabelled(Rows):
    pids = torch.full((8,), -1)
    num_persons = 0


@pytest.mark.parametrize('num_persons', [1, 7])
def test_data_without_any_identity_are_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], num_persons: int
) -> None:
    model = TinyModel(num_persons=num_persons)
    trained = make_runner(tmp_path, model=model, dataset=Unlabelled()).train()
    warning = 'Nobody in the training dataset (Unlabelled) has an identity'
    assert capsys.readouterr().out.count(warning) == 1
    assert not trained.memory.table.vectors.any()
    assert trained.memory.queue.vectors.any(dim=1).all()


class Numbered(TinyDataset):
    def __init__(self, *person_ids: int) -> None:
        self.metainfo = dict(person_ids=list(person_ids))


@pytest.mark.parametrize(
    'datasets',
    [
        (TinyDataset(), TinyDataset()),
        (Numbered(3, 4, 5, 6), TinyDataset()),
        (Numbered(3, 4, 5, 6), ConcatDataset([Unlabelled(), Subset(Numbered(3, 4, 5, 7), [0])])),
    ],
)
def test_datasets_that_number_their_own_persons_are_refused(
    tmp_path: Path, datasets: tuple[Dataset, ...]
) -> None:
    runner = make_runner(tmp_path, dataset=ConcatDataset(datasets))
    message = r'training data are 2 datasets \(\w+, \w+\).*Merge their annotations into one COCO'
    with pytest.raises(ValueError, match=message):
        runner.train()


@pytest.mark.parametrize(
    'datasets',
    [(Rows(), TinyDataset()), (TinyDataset(), Unlabelled()), (Subset(TinyDataset(), range(8)),)],
)
def test_the_table_must_fit_the_one_labelled_dataset_of_several(
    tmp_path: Path, datasets: tuple[Dataset, ...]
) -> None:
    dataset = ConcatDataset(datasets)
    runner = make_runner(tmp_path, model=TinyModel(num_persons=7), dataset=dataset)
    with pytest.raises(ValueError, match=r'\(TinyDataset\) has 4 labelled persons'):
        runner.train()
    trained = make_runner(tmp_path / 'fits', dataset=dataset).train()
    assert trained.memory.table.vectors.any(dim=1).all()


def test_equal_person_ids_of_several_datasets_are_the_same_persons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = ConcatDataset([Numbered(3, 4, 5, 6), Numbered(3, 4, 5, 6)])
    trained = make_runner(tmp_path, dataset=dataset).train()
    assert 'are taken for the same persons' in capsys.readouterr().out
    assert trained.memory.table.vectors.any(dim=1).all()


def test_dataset_of_unknown_size_is_not_checked(tmp_path: Path) -> None:
    make_runner(tmp_path, model=TinyModel(num_persons=7), dataset=Rows()).train()


def test_without_the_hook_the_next_forward_commits() -> None:
    model = TinyModel()
    batches = [(Rows.x[i : i + 4], Rows.pids[i : i + 4]) for i in (0, 4)]
    rows = model.embed(Rows.x[:4])
    model(*batches[0], mode='loss')
    assert not model.memory.table.vectors.any()
    model(*batches[1], mode='loss')
    torch.testing.assert_close(model.memory.table.vectors[[0, 1]], rows[[0, 2]].detach())
    assert not model.memory.table.vectors[[2, 3]].any()
    assert model.memory.queue.head == 2


def test_accumulated_gradients_update_the_memory_every_forward(tmp_path: Path) -> None:
    make_runner(tmp_path, unit='iteration', optim_wrapper=dict(accumulative_counts=2)).train()
    first, second = (
        torch.load(tmp_path / f'iter_{n}.pth', weights_only=True)['state_dict'] for n in (1, 2)
    )
    # Rows 0, 2 are persons 0, 1; rows 4, 5, 6 are persons 2, 3, 1.
    filled = [
        state['head.loss_reid.table.vectors'].any(dim=1).tolist() for state in (first, second)
    ]
    assert filled == [[True, True, False, False], [True] * 4]
    torch.manual_seed(0)
    assert torch.equal(first['linear.weight'], TinyModel().linear.weight)
    assert not torch.equal(second['linear.weight'], first['linear.weight'])
