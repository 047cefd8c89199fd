import json
from pathlib import Path

import mmcv
import pytest

from mmps.visualization import TrainingLog, draw_curves, read_scalars

TRAIN = {'loss': 3.0, 'loss_reid': 2.0, 'lr': 0.1, 'time': 0.2, 'grad_norm': 9.0, 'memory': 5}


def write(path: Path, records: list[dict]) -> Path:
    path.write_text(''.join(json.dumps(record) + '\n' for record in records))
    return path


def test_read_scalars(tmp_path: Path) -> None:
    log = read_scalars(
        write(
            tmp_path / 'scalars.json',
            [
                {**TRAIN, 'epoch': 1, 'iter': 10, 'step': 10},
                {'search/mAP': 0.3, 'data_time': 0.1, 'step': 1},
                {**TRAIN, 'loss': float('nan'), 'epoch': 2, 'iter': 20, 'step': 20},
                # A resumed run repeats a step: the last one counts.
                {**TRAIN, 'loss': 1.5, 'epoch': 1, 'iter': 10, 'step': 10},
                {'search/mAP': 0.6, 'step': 2},
            ],
        )
    )
    assert log.by_epoch
    assert log.train['loss'] == ([10], [1.5])
    assert log.train['lr'] == ([10, 20], [0.1, 0.1])
    assert set(log.train) == {'loss', 'loss_reid', 'lr', 'grad_norm'}
    assert log.val == {'search/mAP': ([1, 2], [0.3, 0.6])}


def test_iteration_based_run(tmp_path: Path) -> None:
    path = write(tmp_path / 'scalars.json', [{**TRAIN, 'iter': 10, 'step': 10}])
    assert not read_scalars(path).by_epoch


@pytest.mark.parametrize('line', ['{"loss": 1', '{"loss": 1}', '[1, 2]'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / 'scalars.json', [{**TRAIN, 'iter': 1, 'step': 1}])
    path.write_text(path.read_text() + line)
    with pytest.raises(ValueError, match=r'scalars\.json, line 2'):
        read_scalars(path)


def test_draw_curves(tmp_path: Path) -> None:
    steps = ([10.0, 20.0], [2.0, 1.0])
    log = TrainingLog(
        {'loss': steps, 'loss_reid': steps, 'lr': steps}, {'search/mAP': steps}, by_epoch=True
    )
    drawn = draw_curves(log, tmp_path)
    assert list(drawn) == ['Total loss', 'Parts of the loss', 'Learning rate', 'Validation']
    for path in drawn.values():
        picture = mmcv.imread(str(path), flag='unchanged')
        assert picture.shape[2] == 4
        assert 0 < (picture[..., 3] > 0).mean() < 0.5, 'ink on a transparent ground'


def test_only_what_was_logged_is_drawn(tmp_path: Path) -> None:
    log = TrainingLog({'loss': ([1.0], [2.0])}, {}, by_epoch=True)
    assert list(draw_curves(log, tmp_path)) == ['Total loss']
