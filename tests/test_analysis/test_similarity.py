from dataclasses import replace

import numpy as np
import pytest
from searches import BOX, OTHER, make_inputs

from mmps.evaluation.analysis import operating_point, sampled, similarity_curve

NEAR = (2, 0, 52, 100)
GTS = [(0, BOX, 7), (1, BOX, 7), (2, BOX, 7), (3, BOX, 7)]
DETS = [
    (0, BOX, 1.0),  # does not count for the query of scene 0
    (1, BOX, 0.75),  # right
    (1, NEAR, 0.5),  # overlaps the person, too, but is less similar: wrong
    (1, OTHER, 0.75),  # wrong
    (2, BOX, 0.25),  # right
    (3, OTHER, -0.5),  # wrong; the target of scene 3 is not found
]


def curve(queries=((0, 7),), **changes):
    return similarity_curve(replace(make_inputs(DETS, GTS, queries, num_images=4), **changes))


def at(result, threshold):
    return int(np.flatnonzero(result.thresholds == threshold)[0])


def test_by_hand():
    result = curve()
    assert (result.num_targets, result.num_queries) == (3, 1)
    assert result.thresholds[0] == -1
    for threshold, right, wrong in [
        (-1, 2, 3),
        (-0.5, 2, 3),
        (-0.25, 2, 2),
        (0.25, 2, 2),
        (0.5, 1, 2),
        (0.75, 1, 1),
        (0.875, 0, 0),
        (1, 0, 0),
    ]:
        place = at(result, threshold)
        assert (result.num_right[place], result.num_wrong[place]) == (right, wrong), threshold
        assert result.recall[place] == pytest.approx(right / 3)
        assert result.false_alarm_rate[place] == pytest.approx(wrong / 3)
        assert result.false_alarms_per_query[place] == wrong
        np.testing.assert_equal(
            result.precision[place], right / (right + wrong) if right + wrong else np.nan
        )


def test_every_query_counts():
    result = curve(queries=((0, 7), (3, 7)))
    # For the query of scene 3 the detection of scene 0 is right, its own scene does not count.
    assert (result.num_targets, result.num_queries) == (3 + 3, 2)
    assert (result.num_right[0], result.num_wrong[0]) == (2 + 3, 3 + 2)
    assert result.false_alarms_per_query[0] == 2.5
    assert (result.num_right[at(result, 1)], result.num_wrong[at(result, 1)]) == (1, 0)


def test_similarities_are_those_that_are_ranked():
    weighted = curve(cws=True, det_scores=np.full(6, 0.5, np.float32))
    assert weighted.num_right[at(weighted, 0.375)] == 1
    assert weighted.num_right[at(weighted, 0.5)] == 0
    # Without the score of one detection it is not in the gallery.
    scores = np.array([1, 1, 1, 1, 0.25, 1], np.float32)
    assert curve(det_scores=scores, score_thr=0.5).num_right[0] == 1


def test_beyond_one_by_rounding():
    dets = [(1, BOX, np.float32(1.0000002)), (1, OTHER, np.float32(-1.0000002))]
    result = similarity_curve(make_inputs(dets, GTS[:2], [(0, 7)], num_images=2))
    assert (result.num_right[at(result, 1)], result.num_wrong[at(result, 1)]) == (1, 0)
    assert (result.num_right[0], result.num_wrong[0]) == (1, 1)


def test_threshold_at_a_false_alarm_rate():
    result = curve()
    step = 2.0**-13
    for rate, threshold, recall, alarms in [
        (1, -1, 2 / 3, 3),
        (0.9, -0.5 + step, 2 / 3, 2),
        (2 / 3, -0.5 + step, 2 / 3, 2),
        (0.5, 0.5 + step, 1 / 3, 1),
        (1 / 3, 0.5 + step, 1 / 3, 1),
        (0.1, 0.75 + step, 0, 0),
        (0, 0.75 + step, 0, 0),
    ]:
        point = operating_point(result, false_alarm_rate=rate)
        assert (point.threshold, point.false_alarms_per_query) == (threshold, alarms), rate
        assert point.recall == pytest.approx(recall)
        assert point.false_alarm_rate <= rate
    assert operating_point(result, false_alarm_rate=0.5).precision == 0.5
    assert np.isnan(operating_point(result, false_alarm_rate=0).precision)
    with pytest.raises(ValueError, match='within 0 and 1, got 2'):
        operating_point(result, false_alarm_rate=2)


def test_nothing_wrong_and_nothing_at_all():
    right = similarity_curve(make_inputs([(1, BOX, 0.5)], GTS[:2], [(0, 7)], num_images=2))
    point = operating_point(right, false_alarm_rate=0)
    assert (point.threshold, point.precision, point.recall) == (-1, 1, 1)
    nothing = similarity_curve(make_inputs([], GTS[:2], [(0, 7)], num_images=2))
    point = operating_point(nothing, false_alarm_rate=0)
    assert (point.recall, point.false_alarm_rate) == (0, 0)
    assert np.isnan(point.precision)
    assert all(len(row) == 0 for row in sampled(nothing).values())


def test_equals_sorting():
    """Random pairs: counts at thresholds against comparisons with every similarity."""
    rng = np.random.default_rng(0)
    similarity = rng.uniform(-1, 1, 400).astype(np.float32)
    dets = [(i % 20, OTHER if i % 3 else BOX, s) for i, s in enumerate(similarity)]
    inputs = make_inputs(dets, [(i, BOX, 7) for i in range(20)], [(0, 7)], num_images=20)
    result = similarity_curve(inputs)
    counted = np.array([s for image, _, s in dets if image != 0])
    best = [max(s for i, box, s in dets if i == image and box == BOX) for image in range(1, 20)]
    for place in rng.integers(0, len(result.thresholds), 50):
        threshold = result.thresholds[place]
        right = int((np.array(best) >= threshold).sum())
        assert result.num_right[place] == right
        assert result.num_wrong[place] == int((counted >= threshold).sum()) - right


def test_sampled_rows_are_of_the_curve():
    result = curve()
    assert result.thresholds[result.span.start] == -0.5, 'the last that lets all through'
    assert result.thresholds[result.span.stop - 1] == 0.75, 'the last that lets any through'
    rows = sampled(result, step=2048)
    assert rows['thresholds'].tolist() == [-0.5, -0.25, 0, 0.25, 0.5, 0.75]
    assert rows['false_alarms_per_query'].tolist() == [3, 2, 2, 2, 2, 1]
    assert {len(row) for row in rows.values()} == {6}
    off_grid = sampled(result, step=3000)['thresholds']
    np.testing.assert_allclose(off_grid, [-1 + 3000 / 8192 * k for k in (2, 3, 4)])


def test_scenes_that_count_twice_are_refused():
    inputs = make_inputs(DETS, GTS, [(0, 7)], num_images=4)
    lists = {'gallery_indptr': np.array([0, 2]), 'gallery_images': np.array([1, 2])}
    full = replace(inputs, protocol=replace(inputs.protocol, full_set=True, **lists))
    with pytest.raises(ValueError, match='choose a gallery_size'):
        similarity_curve(full)
