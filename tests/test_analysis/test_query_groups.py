import numpy as np
import pytest
from searches import make_result

from mmps.evaluation.analysis import by_box_height, by_coverage, worst_queries

RESULT = make_result(
    ap=[1.0, 0.5, 0.2, 0.3, 0.0, 0.6],
    hits=[[True], [True], [False], [False], [False], [True]],
    num_found=[2, 1, 1, 3, 0, 4],
    num_targets=[2, 2, 4, 3, 1, 4],
)
HEIGHTS = np.array([50, 10, 40, 20, 30, 60])


def boxes(heights):
    bottom = np.asarray(heights, np.float32) + 5
    return np.stack([np.zeros_like(bottom), np.full_like(bottom, 5), bottom, bottom], axis=1)


def test_equally_many_of_each_height():
    groups = by_box_height(RESULT, boxes(HEIGHTS), num_groups=3)
    # heights 10, 20 | 30, 40 | 50, 60: queries 1, 3 | 4, 2 | 0, 5
    assert groups.num_queries.tolist() == [2, 2, 2]
    assert groups.low.tolist() == [10, 20, 40]
    assert groups.high.tolist() == [20, 40, 60]
    np.testing.assert_allclose(groups.mean_ap, [0.4, 0.1, 0.8])
    np.testing.assert_allclose(groups.top1, [0.5, 0, 1])
    np.testing.assert_allclose(groups.found, [4 / 5, 1 / 5, 6 / 6])


def test_equal_heights_stay_together():
    groups = by_box_height(RESULT, boxes([7, 7, 7, 7, 7, 9]), num_groups=3)
    assert (groups.low.tolist(), groups.high.tolist()) == ([7], [9])
    assert groups.num_queries.tolist() == [6]
    one = by_box_height(RESULT, boxes([7] * 6))
    assert (one.low.tolist(), one.high.tolist(), one.num_queries.tolist()) == ([7], [7], [6])


def test_every_query_is_in_one_group():
    rng = np.random.default_rng(0)
    heights = rng.integers(20, 60, 500)
    result = make_result(
        ap=rng.random(500),
        hits=rng.random((500, 1)) < 0.5,
        num_found=np.ones(500),
        num_targets=np.full(500, 2),
    )
    groups = by_box_height(result, boxes(heights), num_groups=4)
    for b in range(4):
        above = heights >= groups.low[b] if b == 0 else heights > groups.low[b]
        inside = above & (heights <= groups.high[b])
        assert groups.num_queries[b] == inside.sum()
        assert groups.mean_ap[b] == pytest.approx(result.ap[inside].mean())
    assert groups.num_queries.sum() == 500


def test_coverage():
    coverage = np.array([0, 0.1, 0.1001, 1, 0, 0.9])
    groups = by_coverage(RESULT, coverage)
    assert groups.low.tolist() == [0, 0, 0.1, 0.25, 0.5]
    assert groups.high.tolist() == [0, 0.1, 0.25, 0.5, 1]
    assert groups.num_queries.tolist() == [2, 1, 1, 0, 2]
    np.testing.assert_allclose(groups.mean_ap, [0.5, 0.5, 0.2, np.nan, 0.45])
    np.testing.assert_allclose(groups.found, [2 / 3, 1 / 2, 1 / 4, np.nan, 1])


def test_what_cannot_be():
    with pytest.raises(ValueError, match='num_groups must be positive, got 0'):
        by_box_height(RESULT, boxes(HEIGHTS), num_groups=0)
    with pytest.raises(ValueError, match='no queries'):
        by_box_height(RESULT, np.zeros((0, 4)))


def test_worst_queries_have_targets_and_of_equal_precision_many():
    result = make_result(ap=[0, 0.2, 0, 0, 0, 0.1], num_targets=[1, 9, 0, 5, 1, 9])
    assert worst_queries(result, 4).tolist() == [3, 0, 4, 5]
    assert worst_queries(result, 99).tolist() == [3, 0, 4, 5, 1]
    nothing = make_result(ap=[0.0], num_targets=[0])
    assert worst_queries(nothing, 3).tolist() == []
