"""`tools/analysis_tools/benchmark_index.py` on small galleries, in this process."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmps
from mmps.benchmark import galleries

TOOL = Path(mmps.__file__).parents[1] / 'tools' / 'analysis_tools' / 'benchmark_index.py'
pytestmark = pytest.mark.skipif(not TOOL.is_file(), reason='mmps is not run from its repository')


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tool with videos of 100 rows."""
    spec = importlib.util.spec_from_file_location('benchmark_index', TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, 'benchmark_index', module)
    spec.loader.exec_module(module)
    module.apart = lambda stage, *args: stage(*args)
    monkeypatch.setattr(galleries, 'PER_VIDEO', 100)
    return module


def run(tool: Any, options: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = f'--queries 30 --dim 16 --work-dir {folder} {options}'
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *arguments.split()])
    tool.main()
    assert list(folder.iterdir()) == []


def test_measures_each_size(tool, monkeypatch, capsys, tmp_path) -> None:
    run(tool, '--rows 90 2150 --kind ivf --json', tmp_path, monkeypatch)
    galleries = json.loads(capsys.readouterr().out)['galleries']
    assert [gallery['rows'] for gallery in galleries] == [90, 2150]
    for gallery in galleries:
        assert gallery['kind'] == 'ivf'
        assert 0 < gallery['build_s'] < 60
        assert 0 < gallery['append_s'] < 60
        assert 0 < gallery['remove_s'] < 60
        # Embeddings in float32, codes of a byte, and 16 bytes of ids at the least.
        assert gallery['index_files_mib'] * 2**20 > gallery['rows'] * (16 * 5 + 16)
        assert set(gallery['searches']) == {'all', 'one camera of 20', 'one video'}
        for found in gallery['searches'].values():
            assert 0 < found['p50_ms'] <= found['p95_ms'] <= found['p99_ms'] < 1000
            assert 0.9 < found['recall'] <= 1


def test_prints_tables(tool, monkeypatch, capsys, tmp_path) -> None:
    run(tool, '--rows 150', tmp_path, monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.split('│')[1:-1]] for line in lines if '│' in line]
    assert [row[2] for row in rows[:3]] == ['all', 'one camera of 20', 'one video']
    assert [row[:2] + row[6:] for row in rows[:3]] == [['150', 'exact', '1.0000']] * 3


def test_generated_persons(tool) -> None:
    persons = tool.Persons(4050, 64, 0)
    videos = dict(persons.videos())
    assert [len(video) for video in videos.values()] == [100] * 40 + [50]
    rows = np.concatenate(list(videos.values()))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    again = dict(persons.videos())
    np.testing.assert_array_equal(videos[3], again[3])
    assert (persons.queries(20) @ rows.T).max() < 0.99  # no row itself
    cosines = rows @ rows.T
    cosines[np.diag_indices(len(rows))] = -1
    views = np.sort(cosines, axis=1)[:, -10:]  # of 20 views on average
    assert 0.6 < views.mean() < 0.85
    assert abs(np.median(cosines)) < 0.02


def test_neighbours_are_the_most_similar(tool) -> None:
    persons = tool.Persons(2150, 16, 0)
    truth = tool.neighbours(persons, 5)
    rows = np.concatenate([video for _, video in persons.videos()])
    video = np.arange(2150) // 100
    for name, kept in (
        ('all', np.full(2150, True)),
        ('one camera of 20', video % 20 == 0),
        ('one video', video == 0),
    ):
        cosines = np.where(kept, persons.queries(5) @ rows.T, -2)
        np.testing.assert_array_equal(truth[name], np.argsort(-cosines, axis=1)[:, :10])
