"""`compare_processes.py`: one process, and two that share its batch, on the scaled-down sample."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_models import CONFIGS, scaled_config

from mmps.training_runs import write_json

TOOL = CONFIGS.parent / 'tools/analysis_tools/compare_processes.py'
pytestmark = pytest.mark.skipif(not TOOL.is_file(), reason='mmps is not run from its repository')


@pytest.fixture
def run(
    tiny_prw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    config = scaled_config('seqxt_sample', tiny_prw)
    config.train_cfg.update(max_epochs=1)
    config.default_hooks.logger.interval = 1
    config.custom_hooks = [dict(type='mmps.MemoryHook', interval=1)]
    config.dump(tmp_path / 'small.py')

    def run(*arguments: object) -> dict[str, Any]:
        words = [TOOL, tmp_path / 'small.py', '--work-dir', tmp_path / 'work', *arguments]
        monkeypatch.setattr(sys, 'argv', list(map(str, words)))
        runpy.run_path(str(TOOL))['main']()
        return json.loads((tmp_path / 'work' / 'summary.json').read_text())

    return run


def test_two_processes_beside_a_run_of_before(
    run: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {'config': str(tmp_path / 'small.py'), 'cfg_options': {}}
    before = {'search/mAP': 0.25, 'loss': 10.0, 'memory_filled_table': 1.0, 'lr': 0.1}
    result = tmp_path / 'work/processes1/seed3/result.json'
    write_json({'settings': settings, 'figures': before}, result)
    figures = run('--seeds', 3)
    printed = capsys.readouterr().out
    assert 'seed 3, 1 x 2 images: was done before' in printed
    assert 'seed 3, 2 x 1 images: ' in printed
    # Four frames are two steps of one image a process.
    (log,) = tmp_path.glob('work/processes2/seed3/*/vis_data/scalars.json')
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record['iter'] for record in records if 'loss' in record] == [1, 2]

    assert figures.keys() == {'search/mAP', 'loss', 'memory_filled_table'}
    assert figures['search/mAP']['1'] == dict(mean=0.25, runs=1)
    found = {name: by_processes['2']['mean'] for name, by_processes in figures.items()}
    assert 0 <= found['search/mAP'] <= 1
    # What persons of the frames the memory holds, each process had its share of.
    assert found['memory_filled_table'] in (2 / 3, 1)
    (row,) = (line for line in printed.splitlines() if 'last loss' in line)
    shown = [cell.strip() for cell in row.split('|')[2:5]]
    assert shown == ['10.000', f'{found["loss"]:.3f}', f'{found["loss"] - 10:+.3f}']


def test_mean_and_spread_over_seeds() -> None:
    tool = runpy.run_path(str(TOOL))
    runs = {
        1: [{'search/mAP': value, 'det/AP': 0.5} for value in (0.5, 0.6, 0.7)],
        2: [{'search/mAP': value} for value in (0.55, 0.65)],
    }
    figures = tool['compared'](runs)
    assert figures == {
        'search/mAP': {
            '1': pytest.approx(dict(mean=0.6, std=0.1, runs=3)),
            '2': pytest.approx(dict(mean=0.6, std=0.005**0.5, runs=2)),
        }
    }
    columns = tool['make_table'](figures, 2).columns
    assert [list(column.cells) for column in columns] == [
        ['search mAP, %'], ['60.0 ± 10.0'], ['60.0 ± 7.1'], ['+0.0'],
    ]  # fmt: skip


def test_a_batch_that_cannot_be_shared(run: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(SystemExit, match=r'batch_size=2 images are not to be shared by 3'):
        run('--processes', 3)
