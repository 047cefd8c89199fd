"""The memory of a checkpoint has to be of the kind and size of the model's."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tiny_run import COLLATE, DIM, PERSONS, QUEUE, Mean, Rows, TinyModel, make_runner
from torch import Tensor

from mmps.engine.hooks import MemoryCheckpointHook
from mmps.models import DOIMLoss, InstanceMatchingLoss, OIMLoss


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runner, '_log_env', lambda self, env_cfg: None)


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('trained')
    make_runner(
        folder, checkpoint={}, val_cfg=None, val_dataloader=None, val_evaluator=None
    ).train()
    return folder / 'epoch_3.pth'


class MorePersons(Rows):
    num_persons = PERSONS + 1


def start(folder: Path, *, checkpoint: Path, discard: bool = False, **changes: Any) -> Runner:
    """A runner that starts from a checkpoint."""
    return make_runner(
        folder,
        checkpoint={},
        hooks=(MemoryCheckpointHook(discard=discard),),
        load_from=str(checkpoint),
        **changes,
    )


def loaded_state(runner: Runner) -> dict[str, Tensor]:
    """The model as training begins."""

    class Look(Hook):
        def before_train(self, runner: Runner) -> None:
            self.state = {k: v.clone() for k, v in runner.model.state_dict().items()}

    look = Look()
    runner.register_hook(look)
    runner.train()
    return look.state


@pytest.mark.parametrize('resume', [True, False])
def test_another_size_is_refused(trained: Path, tmp_path: Path, resume: bool) -> None:
    model = dict(type=TinyModel, num_persons=PERSONS + 1)
    runner = start(tmp_path, checkpoint=trained, model=model, resume=resume)
    message = (
        f'{trained}: the table of its memory (loss_reid.table) is of size ({PERSONS}, {DIM}), that '
        f'of the model is ({PERSONS + 1}, {DIM}). To go on with its data, set '
        f'model.loss_reid.num_persons={PERSONS} as there; to start from its weights without its '
        'memory, use load_from without resuming'
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        runner.train()


def test_so_is_another_queue(trained: Path, tmp_path: Path) -> None:
    model = dict(type=TinyModel, queue_size=QUEUE + 2)
    with pytest.raises(ValueError, match=rf'set model\.loss_reid\.queue_size={QUEUE} as there'):
        start(tmp_path, checkpoint=trained, model=model).train()


class WithLoss(TinyModel):
    def __init__(self, loss: InstanceMatchingLoss) -> None:
        super().__init__()
        self.loss_reid = loss


def test_the_memory_of_another_loss_is_refused(trained: Path, tmp_path: Path) -> None:
    model = WithLoss(OIMLoss(PERSONS, QUEUE, dim=DIM))
    message = (
        f'{trained}: its memory (loss_reid) is that of another loss: it has queue.age, '
        'queue.importance, queue.vectors, table.vectors, that of the model queue.head, '
        'queue.vectors, table.vectors. To go on with its data, set model.loss_reid.type, and smr '
        'of mmps.DOIMLoss, as there; to start from its weights without its memory, use load_from'
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        start(tmp_path, checkpoint=trained, model=model).train()


def test_the_weights_of_another_loss_are_taken_without_its_memory(
    trained: Path, tmp_path: Path
) -> None:
    oim = OIMLoss(PERSONS, QUEUE, dim=DIM)
    loaded = loaded_state(start(tmp_path, checkpoint=trained, discard=True, model=WithLoss(oim)))
    expected = torch.load(trained, weights_only=True)['state_dict']
    assert torch.equal(loaded['layers.0.weight'], expected['layers.0.weight'])
    assert not loaded['loss_reid.queue.vectors'].any()


@pytest.mark.parametrize('stripped', [False, True])
def test_a_checkpoint_that_fits_or_has_no_memory_is_taken(
    trained: Path, tmp_path: Path, stripped: bool
) -> None:
    state = torch.load(trained, weights_only=True)['state_dict']
    if stripped:  # as a pretrained detector
        state = {key: value for key, value in state.items() if 'loss_reid' not in key}
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'weights.pth')
    # Its memory is of the same kind: DOIM that weighs rows as OIM does.
    model = WithLoss(DOIMLoss(PERSONS, QUEUE, dim=DIM, hea=False))
    loaded = loaded_state(start(tmp_path, checkpoint=tmp_path / 'weights.pth', model=model))
    assert torch.equal(loaded['layers.0.weight'], state['layers.0.weight'])
    assert loaded['loss_reid.table.vectors'].any() == (not stripped)


def test_weights_without_the_memory(trained: Path, tmp_path: Path) -> None:
    model = dict(type=TinyModel, num_persons=PERSONS + 1)
    loader = dict(
        batch_size=2, dataset=MorePersons(augmented=True), sampler=dict(type='DefaultSampler'),
        collate_fn=COLLATE,
    )  # fmt: skip
    loaded = loaded_state(
        start(tmp_path, checkpoint=trained, discard=True, model=model, train_dataloader=loader)
    )
    expected = torch.load(trained, weights_only=True)['state_dict']
    assert torch.equal(loaded['layers.0.weight'], expected['layers.0.weight'])
    assert expected['loss_reid.table.vectors'].any()
    assert not loaded['loss_reid.table.vectors'].any()
    fresh = TinyModel().loss_reid.queue
    assert torch.equal(loaded['loss_reid.queue.importance'], fresh.importance)


def test_a_resumed_run_keeps_its_memory(trained: Path, tmp_path: Path) -> None:
    loaded = loaded_state(start(tmp_path, checkpoint=trained, discard=True, resume=True))
    expected = torch.load(trained, weights_only=True)['state_dict']
    assert torch.equal(loaded['loss_reid.table.vectors'], expected['loss_reid.table.vectors'])


def test_a_test_takes_any_memory(trained: Path, tmp_path: Path) -> None:
    loader = dict(
        batch_size=2, dataset=Rows(augmented=False), sampler=dict(type='DefaultSampler'),
        collate_fn=COLLATE,
    )  # fmt: skip
    runner = start(
        tmp_path,
        checkpoint=trained,
        model=dict(type=TinyModel, num_persons=PERSONS + 1),
        test_dataloader=loader,
        test_cfg=dict(),
        test_evaluator=[Mean()],
    )
    assert 'mean' in runner.test()
