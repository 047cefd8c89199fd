import importlib.util
import json
import re
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import loadmat

from mmps.sample import SampleSpec, generate, generate_sample

SPEC = SampleSpec(
    frames_train=6,
    frames_test=6,
    identities_train=4,
    identities_test=3,
    width=240,
    height=144,
    cameras=3,
    queries=2,
)


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def frame_names(folder: Path, split: str) -> list[str]:
    return [
        str(cell[0][0]) for cell in loadmat(folder / f'frame_{split}.mat')[f'img_index_{split}']
    ]


def boxes(folder: Path, name: str) -> np.ndarray:
    return loadmat(folder / 'annotations' / f'{name}.jpg.mat')['box_new']


@pytest.fixture(scope='module')
def sample(tmp_path_factory):
    out = tmp_path_factory.mktemp('sample') / 'sample'
    assert generate_sample(out, SPEC)
    return out


def test_layout_is_that_of_prw(sample):
    for split, key in (('train', 'ID_train'), ('test', 'ID_test2')):
        cells = loadmat(sample / f'frame_{split}.mat')[f'img_index_{split}']
        assert cells.shape == (6, 1)
        assert cells.dtype == object
        ids = loadmat(sample / f'{key}.mat')[key]
        assert ids.shape == (1, {'train': 4, 'test': 3}[split])
        assert ids.dtype == np.float64
    names = frame_names(sample, 'train') + frame_names(sample, 'test')
    assert len(set(names)) == 12
    assert all(re.fullmatch(r'c[1-3]s[12]_\d{6}', name) for name in names)
    assert 'c1s1_000151' in names
    assert {p.name for p in (sample / 'frames').iterdir()} == {f'{n}.jpg' for n in names}
    assert {p.name for p in (sample / 'annotations').iterdir()} == {f'{n}.jpg.mat' for n in names}


def test_boxes_are_inside_and_of_this_splits_identities(sample):
    for split, key in (('train', 'ID_train'), ('test', 'ID_test2')):
        ids = set(loadmat(sample / f'{key}.mat')[key].ravel().tolist())
        seen = set()
        for name in frame_names(sample, split):
            assert cv2.imread(str(sample / 'frames' / f'{name}.jpg')).shape == (144, 240, 3)
            rows = boxes(sample, name)
            assert rows.dtype == np.float64
            assert rows.ndim == 2
            assert rows.shape[1] == 5
            assert len(rows) >= 1
            assert (rows[:, 1:3] >= 0).all()
            assert (rows[:, 3:] > 0).all()
            assert (rows[:, 1] + rows[:, 3] <= 240).all()
            assert (rows[:, 2] + rows[:, 4] <= 144).all()
            named = rows[rows[:, 0] != -2, 0].tolist()
            assert len(named) == len(set(named))
            seen |= set(named)
        assert seen == ids
    train = loadmat(sample / 'ID_train.mat')['ID_train'].ravel()
    test = loadmat(sample / 'ID_test2.mat')['ID_test2'].ravel()
    assert not set(train) & set(test)


def test_every_test_identity_is_seen_by_two_cameras(sample):
    cameras: dict[float, set[str]] = {}
    for name in frame_names(sample, 'test'):
        for pid in boxes(sample, name)[:, 0]:
            cameras.setdefault(pid, set()).add(name[:2])
    assert all(len(seen) >= 2 for pid, seen in cameras.items() if pid != -2)


def test_queries_are_annotated_boxes_of_test_frames(sample):
    raw = (sample / 'query_info.txt').read_bytes()
    assert raw.count(b'\r\n') == raw.count(b'\n') == 6
    assert raw.endswith(b'\r\n')
    lines = [line.split(' ') for line in raw.decode().splitlines()]
    gallery = frame_names(sample, 'test')
    for *values, name in lines:
        assert name in gallery
        assert [float(value) for value in values] in boxes(sample, name).tolist()
    per_identity = Counter(line[0] for line in lines)
    assert per_identity == {'5': 2, '6': 2, '7': 2}
    assert all(len({line[5][:2] for line in lines if line[0] == pid}) == 2 for pid in per_identity)


def test_same_files_from_any_number_of_workers(sample, tmp_path):
    generate_sample(tmp_path / 'again', SPEC, workers=3)
    assert contents(tmp_path / 'again') == contents(sample)


def test_seeds_differ(sample, tmp_path):
    generate_sample(tmp_path / 'other', replace(SPEC, seed=1))
    first, second = contents(sample), contents(tmp_path / 'other')
    assert first['frames/c1s1_000151.jpg'] != second['frames/c1s1_000151.jpg']
    assert first['query_info.txt'] != second['query_info.txt']


def test_made_once_and_never_silently_replaced(sample, tmp_path):
    out = tmp_path / 'sample'
    generate_sample(out, SPEC)
    stamp = (out / 'sample.json').stat().st_mtime_ns
    assert not generate_sample(out, SPEC, workers=2)
    assert (out / 'sample.json').stat().st_mtime_ns == stamp

    other = replace(SPEC, frames_train=7)
    with pytest.raises(FileExistsError, match=r'other arguments .*--force'):
        generate_sample(out, other)
    assert contents(out) == contents(sample)
    assert generate_sample(out, other, force=True)
    assert len(frame_names(out, 'train')) == 7
    assert json.loads((out / 'sample.json').read_text())['arguments']['frames_train'] == 7
    assert [path.name for path in tmp_path.iterdir()] == ['sample']


def test_force_never_removes_a_folder_of_something_else(tmp_path):
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos' / 'mine.jpg').touch()
    with pytest.raises(FileExistsError, match='no sample of this generator'):
        generate_sample(tmp_path / 'photos', SPEC, force=True)
    assert (tmp_path / 'photos' / 'mine.jpg').exists()


def test_interrupted_run_leaves_nothing_and_can_be_repeated(sample, tmp_path, monkeypatch):
    calls = []
    write_frame = generate.write_frame

    def failing(*args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write_frame(*args, **kwargs)

    monkeypatch.setattr(generate, 'write_frame', failing)
    with pytest.raises(KeyboardInterrupt):
        generate_sample(tmp_path / 'sample', SPEC)
    assert not list(tmp_path.iterdir())

    (tmp_path / 'sample.partial' / 'frames').mkdir(parents=True)  # left by a killed run
    (tmp_path / 'sample.partial' / 'frames' / 'half.jpg').touch()
    generate_sample(tmp_path / 'sample', SPEC)
    assert contents(tmp_path / 'sample') == contents(sample)
    assert [path.name for path in tmp_path.iterdir()] == ['sample']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'cameras': 1}, 'cameras is 1, must be at least 2'),
        ({'frames_test': 0}, 'frames_test is 0'),
        ({'identities_test': 30}, 'test: 30 identities do not fit into 6 frames'),
    ],
)
def test_impossible_arguments_are_refused_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        generate_sample(tmp_path / 'sample', replace(SPEC, **change))
    assert not list(tmp_path.iterdir())


def test_command_line(tmp_path, monkeypatch, capsys):
    path = Path(__file__).parents[2] / 'tools' / 'make_sample.py'
    spec = importlib.util.spec_from_file_location('make_sample', path)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(tool.signal, 'signal', lambda *_: None)

    def run(*extra: str) -> int:
        size = '--frames-train 4 --frames-test 4 --identities-train 2 --identities-test 2'
        argv = [*size.split(), '--image-size', '160x96', '--workers', '1', *extra]
        monkeypatch.setattr(sys, 'argv', ['make_sample.py', '--out', str(tmp_path / 's'), *argv])
        return tool.main()

    assert run() == 0
    assert 's: made' in capsys.readouterr().out
    assert run() == 0
    assert 'already there' in capsys.readouterr().out
    assert run('--seed', '3') == 1
    assert re.fullmatch(r'make_sample: error: .*--force.*\n', capsys.readouterr().err)
