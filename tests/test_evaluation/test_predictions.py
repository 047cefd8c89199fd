import dataclasses
import json

import numpy as np
import pytest

from mmps.evaluation import Predictions, Search, recorded_settings
from mmps.evaluation.predictions import ARRAYS


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
        ({'gt_embeddings': np.zeros((2, 3), np.float32)}, r'gt_embeddings has shape \(2, 3\)'),
        ({'gt_embeddings': np.zeros((1, 0), np.float32)}, r'gt_embeddings has shape \(1, 0\)'),
        ({'sequence_ids': np.array([1])}, r'sequence_ids has shape \(1,\), expected \(2,\)'),
        ({'image_names': np.array('a.jpg')}, r'image_names has shape \(\), expected 1 dimensions'),
        ({'det_scores': np.zeros((3, 1))}, r'det_scores has shape \(3, 1\), expected 1 dim'),
        ({'det_embeddings': np.zeros(3)}, r'det_embeddings has shape \(3,\), expected 2 dim'),
        ({'det_bboxes': np.zeros((3, 4), int)}, 'det_bboxes has dtype int64, expected float32'),
        ({'det_scores': np.array([1, 2, 3j])}, 'det_scores has dtype complex128'),
        ({'det_embeddings': np.array([[{}, 1]] * 3)}, 'det_embeddings has dtype object'),
        ({'query_image': np.array([-1])}, r'query_image\[0\] is -1, not one of 2 images'),
        ({'gt_image': np.array([0, 7])}, r'gt_image\[1\] is 7, not one of 2 images'),
        (
            {
                'query_image': np.array([0, 0]),
                'query_bboxes': np.zeros((2, 4)),
                'query_pids': np.array([3, 3]),
                'query_ids': np.array([4, 4]),
                'query_embeddings': np.ones((2, 2)),
            },
            'query_ids: 4 occurs more than once',
        ),
        (
            {'gt_bboxes': np.array([[0, 0, 10, 20], [5, 0, 4, 9.0]])},
            r"gt_bboxes\[1\] of image 'bb.jpg' is not x1 <= x2 and y1 <= y2",
        ),
        (
            {'det_scores': np.array([0.5, 1e300, 0.5])},
            r"det_scores\[1\] of image 'bb.jpg' is NaN or infinite",
        ),
        (
            {'query_embeddings': np.array([[np.inf, 0]])},
            r"query_embeddings\[0\] of image 'a.jpg' is NaN or infinite",
        ),
        (
            {'det_embeddings': np.array([[1, 0], [0, np.nan], [1, 0]], np.float32)},
            r"det_embeddings\[1\] of image 'bb.jpg' is NaN",
        ),
    ],
)
def test_validation_names_the_array(changes, message):
    with pytest.raises(ValueError, match=message):
        make_predictions(**changes)


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('det_embeddings', np.full((3, 2), np.nan, np.float32), "of image 'a.jpg' is NaN"),
        ('image_names', np.array(['a.jpg', 'a.jpg']), "'a.jpg' occurs more than once"),
        ('query_image', np.array([2]), 'is 2, not one of 2 images'),
        ('gt_pids', np.array(['3', '3']), 'dtype <U1'),
        ('det_scores', np.zeros(4, np.float32), r'shape \(4,\)'),
        ('image_sizes', np.array(7), r'shape \(\)'),
    ],
)
def test_a_wrong_array_in_a_file_is_named_with_the_file(tmp_path, name, value, message):
    path = tmp_path / 'p.npz'
    predictions = make_predictions()
    setattr(predictions, name, value)
    predictions.save(path)
    with pytest.raises(ValueError, match=rf'p\.npz: {name}.*{message}'):
        Predictions.load(path)


def test_other_number_types_are_converted():
    predictions = make_predictions(
        det_scores=np.array([0.5, 0.25, 1.0], np.float16),
        det_image=np.array([0, 1, 1], np.uint8),
        query_image=np.array([1], np.int32),
    )
    assert predictions.det_scores.dtype == np.float32
    assert predictions.det_scores.tolist() == [0.5, 0.25, 1.0]
    assert predictions.det_image.dtype == predictions.query_image.dtype == np.int64


def test_whether_the_ground_truth_was_embedded():
    assert make_predictions().has_gt_embeddings
    assert not make_predictions(gt_embeddings=np.zeros((2, 0))).has_gt_embeddings
    nobody = {'gt_image': [], 'gt_bboxes': np.zeros((0, 4)), 'gt_pids': []}
    assert make_predictions(**nobody, gt_embeddings=np.zeros((0, 0))).has_gt_embeddings


def save_version_1(path, *, meta):
    """What mmps wrote before there were sequences and embeddings of annotated boxes."""
    predictions = make_predictions()
    new = {'sequence_ids', 'gt_embeddings', 'meta'}
    names = {field.name for field in dataclasses.fields(Predictions)} - new
    arrays = {name: getattr(predictions, name) for name in names}
    np.savez(path, format='mmps.predictions', format_version=1, meta=json.dumps(meta), **arrays)


def test_version_1_is_read(tmp_path):
    path = tmp_path / 'p.npz'
    old = {'score_thr': 0.3, 'det_score_thr': 0.02, 'iou_thr': 0.4, 'cws': False, 'topk': [1, 2]}
    save_version_1(path, meta={'model': 'm', 'evaluation': {**old, 'cross_camera': True}})
    loaded = Predictions.load(path)
    assert loaded.sequence_ids.tolist() == [-1, -1]
    assert loaded.gt_embeddings.shape == (2, 0)
    np.testing.assert_array_equal(loaded.det_bboxes, make_predictions().det_bboxes)
    assert loaded.meta['model'] == 'm'
    search = Search(score_thr=0.3, iou_thr=0.4, cws=False)
    protocol = {'type': 'mmps.prw_protocol', 'cross_camera': True}
    assert recorded_settings(loaded) == {
        'searches': {
            'search': search,
            'search_cross_camera': dataclasses.replace(search, protocol=protocol),
        },
        'det_score_thr': 0.02,
        'topk': [1, 2],
    }
    loaded.save(path)
    assert int(np.load(path)['format_version']) == 2
    assert Predictions.load(path).meta == loaded.meta

    for meta in ({'model': 'm'}, {'evaluation': 3}):
        save_version_1(path, meta=meta)
        assert Predictions.load(path).meta == meta


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
    for version in (np.array([2, 2]), 'two', 2.5):
        np.savez(path, format='mmps.predictions', format_version=version, meta='{}')
        with pytest.raises(ValueError, match='not of mmps predictions'):
            Predictions.load(path)
    for meta, message in (('{', 'meta is not JSON'), ('[1]', 'meta must be a dict, got list')):
        arrays = {name: getattr(make_predictions(), name) for name in ARRAYS}
        np.savez(path, format='mmps.predictions', format_version=2, meta=meta, **arrays)
        with pytest.raises(ValueError, match=rf'other\.npz: {message}'):
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
