import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_checkpoint
from torch import Tensor, nn

from mmps.compat import _history_statistic


class LinearModel(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, inputs: list[Tensor], mode: str = 'tensor') -> dict[str, Tensor]:
        return {'loss': self.linear(torch.stack(inputs)).square().mean()}


class Samples(torch.utils.data.Dataset):
    # As a dataset's own statistics often are: scalars and arrays of NumPy.
    metainfo = {'classes': ('person',), 'num_persons': np.int64(3), 'mean': np.ones(2, 'float32')}

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {'inputs': torch.full((2,), float(index))}


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as MMEngine's runner writes it: message hub, optimiser, schedulers, EMA."""
    folder = tmp_path_factory.mktemp('runner')
    runner = Runner(
        LinearModel(),
        str(folder),
        train_dataloader=dict(
            dataset=Samples(), batch_size=4, sampler=dict(type='DefaultSampler', shuffle=False)
        ),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=2),
            dict(type='MultiStepLR', milestones=[1]),
        ],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        custom_hooks=[dict(type='EMAHook')],
        experiment_name='checkpoint',
        log_level='ERROR',
    )
    runner.train()
    return folder / 'epoch_2.pth'


def test_a_runners_checkpoint_loads_safely(checkpoint: Path) -> None:
    loaded = torch.load(checkpoint, weights_only=True)
    assert {'message_hub', 'optimizer', 'param_schedulers', 'ema_state_dict'} <= loaded.keys()
    assert loaded['meta']['dataset_meta']['num_persons'] == 3
    np.testing.assert_array_equal(loaded['meta']['dataset_meta']['mean'], np.ones(2))
    assert loaded['optimizer']['state'][0]['momentum_buffer'].shape == (1, 2)

    losses = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(losses, HistoryBuffer)
    values, counts = losses.data
    assert len(values) == 4
    assert (counts == 1).all()
    assert losses.statistics('mean', 2) == pytest.approx(values[-2:].mean())
    assert losses.statistics('current') == values[-1]


def test_safe_loading_gives_what_unrestricted_loading_gives(checkpoint: Path) -> None:
    safe = torch.load(checkpoint, weights_only=True)
    unrestricted = torch.load(checkpoint, weights_only=False)
    assert safe.keys() == unrestricted.keys()
    assert safe['param_schedulers'] == unrestricted['param_schedulers']
    torch.testing.assert_close(safe['state_dict'], unrestricted['state_dict'], rtol=0, atol=0)


def test_mmengine_loads_it_as_it_is(checkpoint: Path) -> None:
    model = LinearModel()
    load_checkpoint(model, str(checkpoint), map_location='cpu')
    saved = torch.load(checkpoint, weights_only=True)['state_dict']
    torch.testing.assert_close(dict(model.state_dict()), dict(saved), rtol=0, atol=0)


def test_names_of_numpy_1_are_read_too(checkpoint: Path, tmp_path: Path) -> None:
    numpy_2, numpy_1 = b'numpy._core.multiarray', b'numpy.core.multiarray'
    legacy = tmp_path / 'numpy_1.pth'
    torch.save(
        {'a': np.arange(3), 'b': np.float64(2)}, legacy, _use_new_zipfile_serialization=False
    )
    data = legacy.read_bytes()
    if np.__version__ >= '2':
        assert numpy_2 in data
        data = data.replace(numpy_2, numpy_1)
    legacy.write_bytes(data)
    loaded = torch.load(legacy, weights_only=True)
    np.testing.assert_array_equal(loaded['a'], [0, 1, 2])
    assert loaded['b'] == 2


class Arbitrary:
    """A class that nobody allowed."""


class CallsGetattr:
    """Asks, when unpickled, for an attribute through ``getattr``."""

    def __init__(self, owner: object, name: str) -> None:
        self.owner, self.name = owner, name

    def __reduce__(self) -> tuple:
        return getattr, (self.owner, self.name)


@pytest.mark.parametrize(
    'content',
    [
        Arbitrary(),
        CallsGetattr(HistoryBuffer, '__init__'),
        CallsGetattr(np.ndarray, 'tofile'),
        np.array([Arbitrary()], dtype=object),
    ],
    ids=['class', 'attribute of an allowed class', 'method of an array', 'array of objects'],
)
def test_anything_else_is_still_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / 'refused.pth'
    torch.save({'state_dict': {}, 'meta': content}, path)
    with pytest.raises((pickle.UnpicklingError, TypeError)):
        torch.load(path, weights_only=True)


def test_only_the_statistics_of_a_history_are_handed_out() -> None:
    assert _history_statistic(HistoryBuffer, 'mean') is HistoryBuffer.mean
    with pytest.raises(TypeError, match='__globals__'):
        _history_statistic(HistoryBuffer.mean, '__globals__')
