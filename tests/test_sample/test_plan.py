from collections import Counter

import numpy as np
import pytest

from mmps.sample.plan import ANONYMOUS, plan_split


@pytest.fixture(scope='module')
def frames():
    return plan_split(0, 0, frames=700, cameras=6, pids=range(1, 61))


def test_frequencies_have_a_long_tail(frames):
    counts = Counter(pid for frame in frames for pid in frame.people if pid != ANONYMOUS)
    ordered = [count for _, count in counts.most_common()]
    assert sorted(counts) == list(range(1, 61))
    assert ordered[0] > 7 * np.median(ordered)
    assert ordered[0] < 15 * np.median(ordered)
    assert ordered[-1] >= 2
    # The head: a tenth of the identities has about two fifths of the boxes.
    assert 0.3 < sum(ordered[:6]) / sum(ordered) < 0.5


def test_everyone_is_seen_by_two_cameras_and_once_a_frame(frames):
    cameras: dict[int, set[int]] = {}
    for frame in frames:
        named = [pid for pid in frame.people if pid != ANONYMOUS]
        assert len(named) == len(set(named))
        assert 0 < len(frame.people) <= 6
        for pid in named:
            cameras.setdefault(pid, set()).add(frame.camera_id)
    assert min(len(seen) for seen in cameras.values()) >= 2


def test_share_of_people_without_identity(frames):
    people = [pid for frame in frames for pid in frame.people]
    assert people.count(ANONYMOUS) / len(people) == pytest.approx(0.17, abs=0.02)


def test_names_rise_within_each_camera(frames):
    names = [frame.name for frame in frames]
    assert names == sorted(names)
    assert names[:2] == ['c1s1_000151', 'c1s1_000176']
    assert {name[1] for name in names} == set('123456')


def test_tail_frequencies_of_prw_size():
    frames = plan_split(1, 1, frames=6112, cameras=6, pids=range(484, 934))
    counts = Counter(pid for frame in frames for pid in frame.people if pid != ANONYMOUS)
    assert set(counts) == set(range(484, 934))
    assert 10 <= np.median(list(counts.values())) <= 40
    assert max(counts.values()) > 400
