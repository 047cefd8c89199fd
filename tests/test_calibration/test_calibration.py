import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from mmps.calibration import FILE_NAME, Calibration, calibrate, expected_calibration_error

SAME, DIFFERENT, SPREAD = 0.5, 0.0, 0.15


def gaussian_pairs(num_same, num_different, *, seed=0):
    """Similarities of both kinds normally distributed: the truth is a logistic curve."""
    rng = np.random.default_rng(seed)
    similarities = np.concatenate(
        [rng.normal(SAME, SPREAD, num_same), rng.normal(DIFFERENT, SPREAD, num_different)]
    )
    return similarities, np.arange(len(similarities)) < num_same


def truth(similarities, base_rate):
    """Bayes' rule: P(same | similarity)."""
    same = base_rate * norm.pdf(similarities, SAME, SPREAD)
    return same / (same + (1 - base_rate) * norm.pdf(similarities, DIFFERENT, SPREAD))


def test_probabilities_and_threshold_in_closed_form():
    similarities, same = gaussian_pairs(20_000, 80_000)
    calibration = calibrate(similarities, same, false_alarm_rate=0.01)
    assert calibration.base_rate == pytest.approx(0.2)
    at = np.linspace(-0.2, 0.8, 51)
    gap = np.abs(calibration.probability(at) - truth(at, 0.2))
    assert gap.max() < 0.05
    assert gap.mean() < 0.01
    threshold = norm.isf(0.01, DIFFERENT, SPREAD)
    assert calibration.point.threshold == pytest.approx(threshold, abs=0.006)
    assert calibration.point.false_alarm_rate <= 0.01
    recall = norm.sf(threshold, SAME, SPREAD)
    assert calibration.point.recall == pytest.approx(recall, abs=0.01)
    precision = 0.2 * recall / (0.2 * recall + 0.8 * 0.01)
    assert calibration.point.precision == pytest.approx(precision, abs=0.01)

    # New pairs of the same kind.
    similarities, same = gaussian_pairs(20_000, 80_000, seed=1)
    assert expected_calibration_error(calibration.probability(similarities), same) < 0.005


def test_another_base_rate():
    similarities, same = gaussian_pairs(20_000, 20_000)
    calibration = calibrate(similarities, same, false_alarm_rate=0.01, base_rate=0.01)
    similarities, same = gaussian_pairs(2_000, 198_000, seed=1)
    error = expected_calibration_error(calibration.probability(similarities), same)
    unchanged = calibrate(*gaussian_pairs(20_000, 20_000), false_alarm_rate=0.01)
    assert error < 0.002
    assert expected_calibration_error(unchanged.probability(similarities), same) > 0.05
    at = np.linspace(0.2, 0.7, 26)
    assert np.abs(calibration.probability(at) - truth(at, 0.01)).max() < 0.1
    # The threshold is of the similarities alone.
    assert calibration.point == unchanged.point
    assert (calibration.base_rate, unchanged.base_rate) == (0.01, 0.5)


def test_by_hand():
    """Blocks of equal probability; one unseen pair of each kind at the ends."""
    similarities = np.array([0.0, 0.25, 0.5, 0.75])
    calibration = calibrate(similarities, [False, True, False, True], false_alarm_rate=0.5)
    # same / all in each bin: (0 + 1) / 2, 1, 0, 1 / (1 + 1): the two in the middle are pooled.
    assert calibration.probability(similarities).tolist() == [0.5, 0.5, 0.5, 0.5]
    assert (calibration.num_same, calibration.num_different) == (2, 2)
    many = np.repeat(similarities, [9, 4, 4, 9])
    same = np.repeat([False, True, False, True], [9, 4, 4, 9])
    calibration = calibrate(many, same, false_alarm_rate=0.5)
    np.testing.assert_allclose(
        calibration.probability(similarities), [0.1, 0.5, 0.5, 0.9], atol=1e-3
    )
    middle = calibration.probability(np.array([-1, 0.125, 0.375, 0.625, 1]))
    np.testing.assert_allclose(middle, [0.1, 0.3, 0.5, 0.7, 0.9], atol=1e-3)
    assert calibration.point.threshold == pytest.approx(2**-13), 'lets 4 of 13 pass'
    assert calibration.point.false_alarm_rate == pytest.approx(4 / 13)


def test_never_falls_and_never_certain():
    rng = np.random.default_rng(0)
    for _ in range(20):
        similarities = rng.normal(0, 0.5, 60)
        same = rng.random(60) < 0.3
        same[:2] = True, False
        calibration = calibrate(similarities, same, false_alarm_rate=0)
        probabilities = calibration.probability(np.linspace(-1, 1, 999))
        assert (np.diff(probabilities) >= 0).all()
        assert 0 < probabilities[0] <= probabilities[-1] < 1
    perfect = calibrate(np.array([0.1, 0.9]), [False, True], false_alarm_rate=0)
    assert perfect.probability(np.array([-1, 1])).tolist() == [0.5, 0.5]


def test_saved_and_loaded(tmp_path):
    assert Calibration.load(tmp_path, 'abc') is None
    similarities, same = gaussian_pairs(50, 100)
    calibration = calibrate(
        similarities, same, false_alarm_rate=0.01, model_id='abc', labels='prw.npz'
    )
    path = calibration.save(tmp_path)
    assert path == tmp_path / FILE_NAME
    loaded = Calibration.load(tmp_path, 'abc')
    at = np.linspace(-1, 1, 99)
    assert loaded.probability(at).tolist() == calibration.probability(at).tolist()
    arrays = {'similarities': None, 'probabilities': None}
    assert replace(loaded, **arrays) == replace(calibration, **arrays)

    with pytest.raises(ValueError, match='made for the model abc, the gallery is of def; delete'):
        Calibration.load(tmp_path, 'def')
    for spoiled in (
        '{"format": "mmps.cal',
        '[]',
        json.dumps({**json.loads(path.read_text()), 'format_version': 2}),
        json.dumps({**json.loads(path.read_text()), 'probabilities': [0.5]}),
        json.dumps({**json.loads(path.read_text()), 'point': None}),
    ):
        path.write_text(spoiled)
        with pytest.raises(ValueError, match=r'calibration\.json: no calibration that can be read'):
            Calibration.load(tmp_path, 'abc')


def test_threshold_that_nothing_reaches_is_stored(tmp_path):
    """No precision is NaN, which JSON has not."""
    calibration = calibrate(np.array([0.9, 0.5]), [False, True], false_alarm_rate=0, model_id='a')
    assert np.isnan(calibration.point.precision)
    calibration.save(tmp_path)
    assert np.isnan(Calibration.load(tmp_path, 'a').point.precision)


def test_bad_input():
    similarities, same = gaussian_pairs(5, 5)
    with pytest.raises(ValueError, match='no pairs of different persons'):
        calibrate(similarities, np.ones(10, bool), false_alarm_rate=0.1)
    with pytest.raises(ValueError, match='no pairs of the same person'):
        calibrate(similarities, np.zeros(10, bool), false_alarm_rate=0.1)
    with pytest.raises(ValueError, match='must have the same shape'):
        calibrate(similarities, same[:4], false_alarm_rate=0.1)
    with pytest.raises(ValueError, match='within 0 and 1, got 2'):
        calibrate(similarities, same, false_alarm_rate=2)
    with pytest.raises(ValueError, match='between 0 and 1, got 1'):
        calibrate(similarities, same, false_alarm_rate=0.1, base_rate=1)


def test_calibration_error_by_hand():
    probabilities = np.array([0.1, 0.1, 0.1, 0.1, 0.95, 0.95, 1.0])
    same = np.array([False, False, False, True, True, True, False])
    # Bins: 4 of mean 0.1, a quarter right; 3 of mean 2.9 / 3, two thirds right.
    expected = (abs(0.4 - 1) + abs(2.9 - 2)) / 7
    assert expected_calibration_error(probabilities, same) == pytest.approx(expected)
    with pytest.raises(ValueError, match='Without pairs'):
        expected_calibration_error(np.zeros(0), np.zeros(0, bool))
