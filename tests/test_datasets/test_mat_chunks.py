import io
from pathlib import Path

import numpy as np
import pytest
from cuhk_sysu_folder import structs
from scipy.io import savemat

from mmps.datasets import mat_chunks
from mmps.datasets.mat_chunks import read_struct_chunks
from mmps.datasets.mat_files import read_variable

ARRAY = structs(
    name=['a', 'Zoë', '', 'dd', 'e'],
    value=[
        np.arange(n, dtype=kind).reshape(1, -1) for n, kind in enumerate(['u1', 'f8'] * 2 + ['i2'])
    ],
    inner=[structs(box=[np.ones((1, 4)), n], x=['y', 'z']) for n in range(5)],
)


@pytest.fixture
def no_whole_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path, key: str) -> None:
        raise AssertionError('read whole')

    monkeypatch.setattr(mat_chunks, 'read_variable', read)


def same(chunks: list[np.ndarray], whole: np.ndarray) -> bool:
    """By what SciPy writes of them: nested object arrays have no comparison of their own."""
    streams = io.BytesIO(), io.BytesIO()
    savemat(streams[0], {'x': np.concatenate([chunk.ravel() for chunk in chunks])})
    savemat(streams[1], {'x': whole.ravel()})
    return streams[0].getvalue()[128:] == streams[1].getvalue()[128:]


@pytest.mark.usefixtures('no_whole_reading')
@pytest.mark.parametrize('compressed', [False, True])
@pytest.mark.parametrize('size', [1, 2, 5, 9])
def test_equals_the_whole(tmp_path, compressed, size):
    path = tmp_path / 'a.mat'
    content = {'first': ARRAY[:, :2], 'numbers': np.ones(3), 'wanted': ARRAY}
    savemat(path, content, do_compression=compressed)
    chunks = list(read_struct_chunks(path, 'wanted', size=size))
    assert [chunk.size for chunk in chunks] == [
        *[size] * (5 // size),
        *([5 % size] if 5 % size else []),
    ]
    assert same(chunks, read_variable(path, 'wanted'))
    assert same(list(read_struct_chunks(path, 'first', size=size)), read_variable(path, 'first'))


@pytest.mark.parametrize('form', ['5', '4'])
def test_what_is_no_struct_array_comes_whole(tmp_path, form):
    path = tmp_path / 'a.mat'
    savemat(path, {'numbers': np.arange(3)}, format=form)
    (whole,) = read_struct_chunks(path, 'numbers', size=1)
    assert whole.tolist() == [[0, 1, 2]]
    with pytest.raises(ValueError, match=r"a.mat: no variable 'other' in it, only \['numbers'\]"):
        list(read_struct_chunks(path, 'other', size=1))


def test_empty_file(tmp_path):
    path = tmp_path / 'a.mat'
    path.touch()
    with pytest.raises(ValueError, match=r'a.mat: the file is empty'):
        list(read_struct_chunks(path, 'wanted', size=1))


@pytest.mark.parametrize('compressed', [False, True])
def test_truncated_anywhere(tmp_path, compressed):
    path = tmp_path / 'a.mat'
    savemat(path, {'wanted': ARRAY}, do_compression=compressed)
    whole = path.read_bytes()
    for length in range(1, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r'a.mat: '):
            list(read_struct_chunks(path, 'wanted', size=2))
