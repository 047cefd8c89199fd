import dataclasses
import json

import numpy as np
import pytest

from mmps.evaluation import Predictions


def make_predictions(**changes):
    """Two images of two cameras, three detections, two persons, one query."""
    arrays = {
        'image_names': np.array(['a.jpg', 'bb.jpg']),
        'image_paths': np.array(['x/a.jpg', 'x/bb.jpg']),
        'camera_ids': np.array([1, 2]),
        'sequence_ids': np.array([1, -1]),
        'image_sizes': np.array([[100, 200], [100, 200]]),
        'det_image': np.array([0, 1, 1]),
        'det_bboxes': np.array([[0, 0, 10, 20], [0, 0, 10, 20], [50, 0, 60, 20]], np.float32),
        'det_scores': np.array([0.9, 0.8, 0.7], np.float32),
        'det_embeddings': np.array([[1, 0], [0.6, 0.8], [0.8, 0.6]], np.float32),
        'gt_image': np.array([0, 1]),
        'gt_bboxes': np.array([[0, 0, 10, 20], [0, 0, 10, 20]], np.float32),
        'gt_pids': np.array([3, 3]),
        'gt_embeddings': np.array([[1, 0], [0, 1]], np.float32),
        'query_image': np.array([0]),
        'query_bboxes': np.array([[0, 0, 10, 20]], np.float32),
        'query_pids': np.array([3]),
        'query_ids': np.array([0]),
        'query_embeddings': np.array([[1, 0]], np.float32),
        'meta': {'model': 'm', 'epochs': [1, 2]},
    }
    return Predictions(**{**arrays, **changes})


def test_round_trip(tmp_path):
    saved = make_predictions()
    path = tmp_path / 'new' / 'p.npz'
    saved.save(path)
    loaded = Predictions.load(path)
    for field in dataclasses.fields(Predictions):
        before, after = getattr(saved, field.name), getattr(loaded, field.name)
        if field.name == 'meta':
            assert after == before
        else:
            assert after.dtype == before.dtype
            np.testing.assert_array_equal(after, before)
    assert [p.name for p in path.parent.iterdir()] == ['p.npz']


def test_empty_round_trip(tmp_path):
    empty = {
        name: getattr(make_predictions(), name)[:0]
        for name in (f.name for f in dataclasses.fields(Predictions))
        if name != 'meta'
    }
    Predictions(**empty).save(tmp_path / 'p.npz')
    assert Predictions.load(tmp_path / 'p.npz').num_images == 0


def test_save_keeps_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / 'p.npz'
    make_predictions().save(path)
    before = path.read_bytes()

    def full_disk(file, **arrays):
        file.write(b'half')
        raise OSError('no space left')

    monkeypatch.setattr(np, 'savez', full_disk)
    with pytest.raises(OSError, match='no space'):
        make_predictions(meta={}).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'det_scores': np.zeros(2, np.float32)}, r'det_scores has shape \(2,\), expected \(3,\)'),
        ({'gt_bboxes': np.zeros((2, 5), np.float32)}, 'gt_bboxes has shape'),
        ({'query_embeddings': np.zeros((1, 3), np.float32)}, 'query_embeddings has shape'),
        ({'det_image': np.array([0, 1, 2])}, r'det_image\[2\] is 2, not one of 2 images'),
        ({'det_image': np.array([0.0, 1.0, 1.0])}, 'det_image has dtype float64'),
        ({'camera_ids': np.array(['1', '2'])}, 'camera_ids has dtype'),
        ({'image_names': np.array(['a.jpg', 'a.jpg'])}, "image_names: 'a.jpg' occurs more"),
        ({'query_pids': np.array([-1])}, r'query_pids\[0\] is -1'),
        (
            {'det_embeddings': np.array([[1, 0], [0, np.nan], [1, 0]], np.float32)},
            r"det_embeddings\[1\] of image 'bb.jpg' is NaN",
        ),
    ],
)
def test_validation_names_the_array(changes, message):
    with pytest.raises(ValueError, match=message):
        make_predictions(**changes)


def test_damaged_files(tmp_path):
    path = tmp_path / 'p.npz'
    make_predictions().save(path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 64):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r'p\.npz is not a readable prediction file'):
            Predictions.load(path)
    middle = bytearray(whole)
    middle[len(whole) // 2] ^= 0xFF
    path.write_bytes(middle)
    with pytest.raises(ValueError, match=r'p\.npz'):
        Predictions.load(path)


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.npz'):
        Predictions.load(tmp_path / 'none.npz')
    path = tmp_path / 'other.npz'
    np.savez(path, a=np.zeros(3))
    with pytest.raises(ValueError, match='not of mmps predictions'):
        Predictions.load(path)
    np.savez(path, format='mmps.predictions', format_version=99, meta=json.dumps({}))
    with pytest.raises(ValueError, match='version 99'):
        Predictions.load(path)
    np.savez(path, format='mmps.predictions', format_version=1, meta='{}', extra=1)
    with pytest.raises(ValueError, match=r"missing arrays \['camera_ids'.*unknown arrays \['extra"):
        Predictions.load(path)
    np.savez(path, a=np.array([{}], object))  # a pickle is never opened
    with pytest.raises(ValueError, match='not a readable prediction file'):
        Predictions.load(path)
    np.save(tmp_path / 'array.npy', np.zeros(3))
    with pytest.raises(ValueError, match='not a readable prediction file'):
        Predictions.load(tmp_path / 'array.npy')


def test_save_refuses_what_it_cannot_write(tmp_path):
    with pytest.raises(ValueError, match=r'saved as \.npz'):
        make_predictions().save(tmp_path / 'p.pkl')
    with pytest.raises(ValueError, match='must be JSON'):
        make_predictions(meta={'a': object()}).save(tmp_path / 'p.npz')
    assert list(tmp_path.iterdir()) == []
