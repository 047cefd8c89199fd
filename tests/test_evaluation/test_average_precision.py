import numpy as np
import pytest

from mmps.evaluation.functional import average_precision, precision_at


def test_average_precision_by_hand():
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    # precision 1/1 and 2/3 at the two correct ones
    correct = np.array([True, False, True, False])
    assert average_precision(scores, correct) == pytest.approx((1 + 2 / 3) / 2)


def test_equal_scores_pass_together():
    scores = np.array([0.5, 0.5, 0.5, 0.1], np.float32)
    assert average_precision(scores, np.array([True, False, False, True])) == pytest.approx(
        (1 / 3 + 2 / 4) / 2
    )
    # the order of equal scores does not matter
    assert average_precision(scores, np.array([False, False, True, True])) == pytest.approx(
        (1 / 3 + 2 / 4) / 2
    )


def test_nothing_correct_is_zero():
    assert average_precision(np.array([0.5], np.float32), np.array([False])) == 0
    assert average_precision(np.zeros(0, np.float32), np.zeros(0, bool)) == 0


@pytest.mark.parametrize('seed', range(5))
def test_precision_at(seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=500).astype(np.float32)
    scores[::7] = np.round(scores[::7], 1)  # ties
    scores[::11] = -np.inf
    for num in (0, 1, 30):
        positives = rng.choice(scores[np.isfinite(scores)], num, replace=False)
        expected = [
            (positives >= score).sum() / (scores >= score).sum() for score in sorted(positives)
        ]
        assert precision_at(positives, scores=scores).tolist() == expected
