import json

import cv2
import numpy as np
import pytest
from labelled_images import BOX, OTHER, embedding, make_gallery, write_annotations
from typer.testing import CliRunner

from mmps.calibration import Calibration, labelled_gallery
from mmps.cli.app import app


def mmps(*arguments):
    return CliRunner().invoke(app, ['calibrate', *map(str, arguments)])


@pytest.fixture
def labelled(tmp_path):
    """Two persons in six images: similarity 0.96 within a person, 0 between them."""
    images, labels = {}, {}
    for number in range(6):
        first, second = ((4, 3), (3, 4))[number % 2], ((0, 0, 4, 3), (0, 0, 3, 4))[number % 2]
        images[f'/v/{number}.jpg'] = [(BOX, embedding(*first)), (OTHER, embedding(*second))]
        labels[f'{number}.jpg'] = ([(BOX, 7), (OTHER, 8)], number)
    gallery = make_gallery(tmp_path / 'gallery', images)
    return gallery, write_annotations(tmp_path / 'labels.json', labels)


def test_of_a_labelled_gallery(labelled, tmp_path):
    gallery, labels = labelled
    picture = tmp_path / 'new' / 'curves.png'
    result = mmps(labels, gallery.root, '--json', '--picture', picture, '--false-alarm-rate', 0)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    # 12 queries in 5 other images: one right and one wrong each.
    stored = Calibration.load(gallery.root, 'abc')
    assert (stored.num_same, stored.num_different) == (60, 60)
    assert stored.labels == 'labels.json'
    assert stored.probability(0.96) == pytest.approx(60 / 61, abs=1e-3)
    assert stored.probability(0) == pytest.approx(1 / 61, abs=1e-3)
    assert 0 < stored.point.threshold <= 0.96
    assert (stored.point.recall, stored.point.precision) == (1, 1)
    assert document['calibration']['point']['threshold'] == stored.point.threshold
    assert document['stored'] == str(gallery.root / 'calibration.json')
    assert document['num_queries'] == 12
    assert document['at_false_alarm_rate']['0.001']['recall'] == 1
    by_similarity = document['by_similarity']
    assert len(by_similarity['probability']) == len(by_similarity['thresholds']) > 100
    assert cv2.imread(str(picture)).std() > 0

    assert mmps(labels, gallery.root, '--base-rate', 0.01).exit_code == 0
    again = Calibration.load(gallery.root, 'abc')
    assert again.probability(0.96) == pytest.approx(60 / (60 + 99), abs=1e-2)


def test_of_predictions(labelled, tmp_path):
    gallery, labels = labelled
    predictions = labelled_gallery(gallery, labels)
    predictions.meta['evaluation'] = {
        'searches': {'own': {'protocol': {'type': 'mmps.custom_protocol'}, 'score_thr': 0.95}}
    }
    predictions.det_scores[predictions.det_scores < 1] = 0.96
    path = tmp_path / 'p.npz'
    predictions.save(path)
    result = mmps(path)
    assert result.exit_code == 0, result.output
    assert '60 pairs of the same person, 60 of different persons' in result.stdout
    assert 'base rate of 5.00e-01' in result.stdout
    assert '0.001 (chosen)' in result.stdout
    assert 'Not stored' in result.stdout
    assert not (gallery.root / 'calibration.json').exists()
    result = mmps(path, gallery.root)
    assert result.exit_code == 0, result.output
    assert Calibration.load(gallery.root, 'abc').num_same == 60

    del predictions.meta['model_id']
    predictions.save(path)
    result = mmps(path, gallery.root)
    assert 'does not say which model made it' in result.stderr


def test_bad_calls(labelled, tmp_path):
    gallery, labels = labelled
    predictions = labelled_gallery(gallery, labels)
    path = tmp_path / 'p.npz'
    predictions.save(path)
    other = make_gallery(tmp_path / 'other', {'/v/1.jpg': []}, model_id='def')
    for arguments, message in [
        ((labels,), 'name it, too'),
        ((labels, gallery.root, '--search', 'x'), '--exclude'),
        ((path, '--search', 'x'), "There is no search 'x'; recorded are search"),
        ((path, other.root), 'a calibration holds for one model'),
        ((tmp_path / 'labels.txt', gallery.root), 'predictions (.npz) or COCO JSON (.json)'),
        ((tmp_path / 'none.npz',), 'none.npz'),
        ((path, tmp_path), 'no gallery'),
        ((labels, gallery.root, '--exclude', 'sequence'), 'no sequence_id'),
    ]:
        result = mmps(*arguments)
        assert result.exit_code == 2, arguments
        assert message in result.stderr, result.stderr
        assert 'Traceback' not in result.output
    assert not (gallery.root / 'calibration.json').exists()
    assert not (other.root / 'calibration.json').exists()
    assert np.array_equal(predictions.det_scores, np.full(12, 0.9, np.float32))
