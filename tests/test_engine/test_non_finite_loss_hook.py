"""A loss that is not finite is reported, and changes nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tiny_run import ITEMS, TOGETHER, TinyModel, in_processes, make_runner
from torch import Tensor
from torch.utils.data import Dataset

from mmps.engine.hooks import NonFiniteLossHook

BAD_LOSS, BAD_GRADIENT = 99.0, 77.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runner, '_log_env', lambda self, env_cfg: None)


class Named(Dataset):
    """Two rows a batch; values of some say what goes wrong with them."""

    num_persons = 4

    def __init__(self, bad: dict[int, float]) -> None:
        self.bad = bad

    def __len__(self) -> int:
        return ITEMS + 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        x = torch.tensor([1.0, index % 3, index % 2])
        x[0] = self.bad.get(index, 1.0)
        sample = DetDataSample(metainfo=dict(img_name=f'{index}.jpg'))
        return dict(x=x, pid=index % 5 - 1, data_samples=sample)


class Fragile(TinyModel):
    """Its loss, or the gradient of it, is not finite for some rows."""

    def forward(self, x: Any, pid: Any, mode: str, **others: Any) -> Any:
        x, pid = torch.stack(x), torch.tensor(pid)
        outputs = super().forward(x, pid, mode)
        if mode != 'loss':
            return outputs
        norm = self.layers[0].weight.square().sum()
        if (x == BAD_GRADIENT).any():
            outputs['loss_root'] = (norm - norm.detach()).sqrt()  # 0, with an infinite slope
        if (x == BAD_LOSS).any():
            outputs['loss_norm'] = norm * torch.inf
            outputs['loss_parts'] = [norm, norm * torch.nan]
        return outputs


class Record(Hook):
    """Everything that training changes, as every iteration leaves it."""

    def __init__(self) -> None:
        self.states: list[list[Tensor]] = []

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        moments = runner.optim_wrapper.state_dict()['state'].values()
        tensors = [*runner.model.state_dict().values()]
        tensors += [moment for state in moments for moment in state.values()]
        self.states.append([tensor.clone() for tensor in tensors])

    def unchanged(self, number: int) -> bool:
        before, after = self.states[number - 1 : number + 1]
        return all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def run(
    folder: Path, bad: dict[int, float], *, max_skipped: int = 0, **changes: Any
) -> tuple[Runner, Record]:
    """An epoch of six batches, in order."""
    record = Record()
    runner = make_runner(
        folder,
        checkpoint={},
        model=dict(type=Fragile),
        hooks=(NonFiniteLossHook(max_skipped), record),
        train_dataloader=dict(
            batch_size=2, dataset=Named(bad), sampler=dict(type='DefaultSampler', shuffle=False)
        ),
        train_cfg=dict(type='mmps.ResumableEpochLoop', max_epochs=1),
        **dict.fromkeys(('val_cfg', 'val_dataloader', 'val_evaluator')),
        **changes,
    )
    return runner, record


def test_it_ends_the_training_and_names_the_images(tmp_path: Path) -> None:
    runner, record = run(tmp_path, {7: BAD_LOSS})
    message = (
        r'iteration 4 is not finite: loss_norm = inf, loss_parts = nan; images: 6\.jpg, 7\.jpg\.'
        r'.*max_skipped=N'
    )
    with pytest.raises(FloatingPointError, match=message):
        runner.train()
    assert len(record.states) == 3
    for name, before in zip(runner.model.state_dict(), record.states[-1], strict=False):
        if 'running' not in name and 'num_batches' not in name:
            assert torch.equal(runner.model.state_dict()[name], before), name


@pytest.mark.parametrize('problem', [BAD_LOSS, BAD_GRADIENT])
def test_a_skipped_iteration_changes_nothing(
    problem: float, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    runner, record = run(tmp_path, {7: problem}, max_skipped=1)
    runner.train()
    assert [record.unchanged(n) for n in range(1, 6)] == [False, False, True, False, False]
    assert all(tensor.isfinite().all() for tensor in runner.model.layers.state_dict().values())
    (warning,) = (line for line in capfd.readouterr().out.splitlines() if 'finite' in line)
    assert 'images: 6.jpg, 7.jpg. Skipped, 1 of at most 1 in a row' in warning
    # An iteration it is, all the same.
    assert runner.iter == 6


def test_too_many_in_a_row(tmp_path: Path) -> None:
    apart = {1: BAD_LOSS, 5: BAD_LOSS, 9: BAD_LOSS}
    run(tmp_path / 'apart', apart, max_skipped=1)[0].train()
    in_a_row = {5: BAD_LOSS, 6: BAD_LOSS, 8: BAD_GRADIENT}
    runner, record = run(tmp_path / 'in_a_row', in_a_row, max_skipped=2)
    with pytest.raises(FloatingPointError, match=r'iteration 5 .*images: 8\.jpg, 9\.jpg'):
        runner.train()
    assert record.unchanged(2)
    assert record.unchanged(3)


@pytest.mark.parametrize('clip_grad', [None, dict(max_norm=1.0)])
def test_it_spoils_all_gradients_that_are_accumulated_with_it(
    clip_grad: dict | None, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    optim_wrapper = dict(
        optimizer=dict(type='SGD', lr=0.1), accumulative_counts=3, clip_grad=clip_grad
    )
    changes = dict(optim_wrapper=optim_wrapper, param_scheduler=None)
    runner, record = run(tmp_path, {3: BAD_LOSS}, max_skipped=1, **changes)
    runner.train()
    weights = [state[0] for state in record.states]
    moved = [not torch.equal(weights[n], weights[n - 1]) for n in range(1, 6)]
    assert moved == [False, False, False, False, True]
    assert record.unchanged(1)  # the memory of the others has grown
    assert not record.unchanged(2)
    (warning,) = (line for line in capfd.readouterr().out.splitlines() if 'finite' in line)
    assert 'images: 0.jpg, 1.jpg, 2.jpg, 3.jpg' in warning


def test_all_processes_skip_what_one_of_them_cannot_take(tmp_path: Path) -> None:
    def train() -> None:
        # The second process has the odd images: 1 3, 5 7, 9 11.
        runner, record = run(tmp_path, {5: BAD_LOSS}, max_skipped=1, **TOGETHER)
        runner.train()
        assert [record.unchanged(n) for n in range(1, 3)] == [True, False]
        message = 'iteration 2 is not finite: loss_norm = inf, loss_parts = nan'
        if runner.rank == 0:
            (log,) = tmp_path.glob('*/*.log')
            assert f'{message}; images: 5.jpg, 7.jpg.' in log.read_text()

    assert in_processes(train, tmp_path) == [0, 0]
