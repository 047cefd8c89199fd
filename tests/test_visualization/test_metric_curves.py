import json
from collections.abc import Callable
from pathlib import Path

import mmcv
import pytest

from mmps.visualization import MetricCurve, draw_metrics, read_metric

TOOL = 'analysis_tools/plot_map_by_epoch.py'
ITERATION = {'loss': 1.0, 'epoch': 1, 'iter': 5, 'step': 5}


def write_log(run: Path, start: str, values: dict[int, float]) -> Path:
    """The log of one start of a run: mAP by epoch."""
    path = run / start / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    records = [{'search/mAP': value, 'det/AP': 0.9, 'step': step} for step, value in values.items()]
    path.write_text('\n'.join(json.dumps(record) for record in [ITERATION, *records]))
    return path


def test_a_log_file(tmp_path: Path) -> None:
    run = read_metric(write_log(tmp_path, '1', {1: 0.2, 2: 0.5, 3: 0.5}), 'search/mAP')
    assert run == MetricCurve(([1, 2, 3], [0.2, 0.5, 0.5]), by_epoch=True)
    assert run.best == (2, 0.5)


def test_a_resumed_run_is_one_curve(tmp_path: Path) -> None:
    write_log(tmp_path, '20260101_000000', {1: 0.1, 2: 0.2, 3: 0.3})
    write_log(tmp_path, '20260102_000000', {3: 0.35, 4: 0.4})
    assert read_metric(tmp_path, 'search/mAP').curve == ([1, 2, 3, 4], [0.1, 0.2, 0.35, 0.4])
    # A start that was stopped before its first validation changes nothing ...
    write_log(tmp_path, '20260103_000000', {})
    assert read_metric(tmp_path, 'search/mAP').curve[0] == [1, 2, 3, 4]
    # ... and one that begins anew is another run.
    write_log(tmp_path, '20260104_000000', {1: 0.15, 2: 0.25})
    assert read_metric(tmp_path, 'search/mAP').curve == ([1, 2], [0.15, 0.25])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write_log(tmp_path / 'run', '1', {1: 0.1})
    with pytest.raises(ValueError, match=r"run: no .* 'mAP'; there are det/AP, search/mAP"):
        read_metric(tmp_path / 'run', 'mAP')
    write_log(tmp_path / 'untested', '1', {})
    with pytest.raises(ValueError, match='nothing was validated'):
        read_metric(tmp_path / 'untested', 'search/mAP')
    with pytest.raises(FileNotFoundError, match=r'none: neither a scalars\.json nor'):
        read_metric(tmp_path / 'none', 'search/mAP')


def test_runs_by_epoch_and_by_iteration_do_not_mix(tmp_path: Path) -> None:
    runs = {
        'a': MetricCurve(([1], [0.5]), by_epoch=True),
        'b': MetricCurve(([500], [0.5]), by_epoch=False),
    }
    with pytest.raises(ValueError, match='b: validated by iteration'):
        draw_metrics(runs, tmp_path / 'a.png', metric='search/mAP')


def test_tool(
    tmp_path: Path, run_tool: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    write_log(tmp_path / 'seqnet', '1', {1: 0.1, 2: 0.3})
    log = write_log(tmp_path / 'seqxt', '1', {1: 0.2, 2: 0.1})
    out = tmp_path / 'pictures/map.png'
    run_tool(TOOL, tmp_path / 'seqnet', log, '--out', out)
    assert capsys.readouterr().out.splitlines() == [
        'seqnet: best search/mAP 30.00 % at epoch 2',
        'seqxt: best search/mAP 20.00 % at epoch 1',
        f'Curves: {out}',
    ]
    both = mmcv.imread(str(out), flag='unchanged')
    run_tool(TOOL, tmp_path / 'seqnet', '--out', out)
    one = mmcv.imread(str(out), flag='unchanged')
    assert 0 < (one[..., 3] > 0).mean() < (both[..., 3] > 0).mean() < 0.5

    with pytest.raises(SystemExit, match=r"^error: .*no validation with the metric 'mAP'"):
        run_tool(TOOL, log, '--out', out, '--metric', 'mAP')
    for wrong in (
        ('--out', tmp_path / 'map.svg'),
        ('--out', out, '--names', 'a', 'b'),
        (tmp_path / 'other/seqxt', '--out', out),
    ):
        with pytest.raises(SystemExit, match='2'):
            run_tool(TOOL, log, *wrong)
