from dataclasses import replace

import numpy as np
import pytest

from mmps.sample.appearance import TOP_COLORS, draw_appearance
from mmps.sample.figure import draw_figure
from mmps.sample.plan import ANONYMOUS
from mmps.sample.pose import draw_pose
from mmps.sample.scene import HIDDEN, render_frame


def looks(number: int):
    return draw_appearance(np.random.default_rng([0, 2, number]))


@pytest.mark.parametrize('yaw', [0.0, 1.6, 3.1, 4.7])
def test_figure_stands_on_its_anchor_and_is_as_tall_as_asked(yaw):
    person = replace(looks(1), hat='none', hair_style='short', stature=1.0, legs=1.0)
    pose = replace(draw_pose(np.random.default_rng(0)), yaw=yaw, stride=0.02)
    sprite = draw_figure(person, pose, 150, light=0.0, rng=np.random.default_rng(0))
    rows = np.flatnonzero((sprite.alpha > 127).any(1))
    assert rows[-1] - rows[0] == pytest.approx(150, rel=0.08)
    assert rows[-1] == pytest.approx(sprite.anchor[1], abs=8)


def test_the_same_person_is_told_from_others_by_more_than_one_colour():
    people = [looks(number) for number in range(200)]
    nearest = [
        int(np.abs(np.array(TOP_COLORS) - person.top.color).sum(1).argmin()) for person in people
    ]
    assert min(np.bincount(nearest, minlength=len(TOP_COLORS))) >= 8
    whole = {(p.top, p.bottom, p.hair_style, p.bag) for p in people}
    assert len(whole) == 200


def test_looks_stay_and_poses_change_between_frames():
    first, second = (
        render_frame(5, 0, index, camera_id=1, people=(1, 2), size=(240, 144)) for index in (0, 1)
    )
    assert sorted(box.pid for box in first[1]) == sorted(box.pid for box in second[1]) == [1, 2]
    assert [box.xywh for box in first[1]] != [box.xywh for box in second[1]]


def test_frame_depends_on_its_own_numbers_only():
    def frame(index):
        return render_frame(5, 1, index, camera_id=2, people=(7, ANONYMOUS), size=(240, 144))

    late = frame(9)
    frame(3)
    again = frame(9)
    np.testing.assert_array_equal(late[0], again[0])
    assert late[1:] == again[1:]


def test_whoever_has_an_identity_is_annotated_however_crowded():
    people = tuple(range(1, 13))
    for index in range(5):
        _, boxes, _ = render_frame(3, 0, index, camera_id=1, people=people, size=(320, 192))
        assert sorted(box.pid for box in boxes) == list(people)
        assert all(box.visible >= 1 - HIDDEN for box in boxes)
