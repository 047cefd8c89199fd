"""`tools/analysis_tools/benchmark_evaluation.py` on few detections, in this process."""

import runpy
import sys
from pathlib import Path

import pytest

import mmps

TOOL = Path(mmps.__file__).parents[1] / 'tools' / 'analysis_tools' / 'benchmark_evaluation.py'
pytestmark = pytest.mark.skipif(not TOOL.is_file(), reason='mmps is not run from its repository')


def test_prints_times_and_growth(monkeypatch, capsys):
    options = '--dets 2000 --dim 4 --repeat 1 --plain-queries 4 --growth 100'
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *options.split()])
    runpy.run_path(str(TOOL), run_name='__main__')
    lines = capsys.readouterr().out.splitlines()
    for name in ('PRW', 'PRW, cross-camera', 'CUHK-SYSU, 100', 'CUHK-SYSU, all'):
        (cells,) = (line.split('│')[1:-1] for line in lines if line.startswith(f'│ {name} '))
        median, best, plain, ratio = (float(cells[n]) for n in (2, 3, 6, 7))
        assert 0 < best <= median < plain
        assert ratio > 1
    sizes = [line.split('│')[1:3] for line in lines if line.count('│') == 7]
    assert [[int(n.replace(',', '')) for n in row] for row in sizes] == [
        [100, 100],
        [100, 1000],
        [100, 10000],
        [1000, 100],
        [10000, 100],
    ]


def test_plain_implementation_may_be_missing(monkeypatch, capsys, tmp_path):
    tool = tmp_path / 'a' / 'b' / TOOL.name
    tool.parent.mkdir(parents=True)
    tool.write_bytes(TOOL.read_bytes())
    options = '--dets 200 --dim 4 --repeat 1 --growth 0'
    monkeypatch.setattr(sys, 'argv', [str(tool), *options.split()])
    runpy.run_path(str(tool), run_name='__main__')
    assert 'plain implementation is left out' in capsys.readouterr().out
