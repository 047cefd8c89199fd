import numpy as np
import pytest

from mmps.evaluation.analysis import covered_share


def share(bboxes, *, image, pids, gts):
    """``gts``: (image, box, pid)."""
    return covered_share(
        np.array(bboxes, np.float32),
        np.array(image),
        pids=np.array(pids),
        gt_image=np.array([g[0] for g in gts], np.int64),
        gt_bboxes=np.array([g[1] for g in gts], np.float32).reshape(-1, 4),
        gt_pids=np.array([g[2] for g in gts], np.int64),
    ).tolist()


BOX = (10, 10, 20, 30)


def test_by_hand():
    gts = [
        (1, BOX, 5),  # the person itself
        (2, BOX, 9),  # another image
        (1, (0, 0, 15, 100), 6),  # the left half
        (1, (0, 20, 100, 100), -1),  # the lower half, by somebody without identity
        (1, (20, 0, 30, 100), 7),  # touches
        (1, (12, 12, 12, 20), 8),  # empty
    ]
    # left half and lower half together are three quarters
    assert share([BOX, BOX, BOX], image=[1, 2, 3], pids=[5, 5, 5], gts=gts) == [0.75, 1, 0]


def test_same_box_twice_counts_once():
    gts = [(0, (10, 10, 20, 15), 1), (0, (10, 10, 20, 15), 2), (0, (10, 14, 12, 16), -1)]
    assert share([BOX], image=[0], pids=[5], gts=gts) == pytest.approx([(50 + 2) / 200])


def test_nobody_and_empty_boxes():
    assert share([BOX], image=[0], pids=[5], gts=[]) == [0]
    assert share([(5, 5, 5, 9)], image=[0], pids=[5], gts=[(0, (0, 0, 50, 50), 1)]) == [0]
    assert share(np.zeros((0, 4)), image=np.zeros(0, int), pids=[], gts=[(0, BOX, 1)]) == []


def test_equals_counting_pixels():
    rng = np.random.default_rng(0)

    def boxes(num):
        corner, size = rng.integers(0, 30, (num, 2)), rng.integers(1, 25, (num, 2))
        return np.concatenate([corner, corner + size], axis=1)

    queries, others = boxes(40), boxes(300)
    image, gt_image = rng.integers(0, 20, 40), rng.integers(0, 20, 300)
    expected = []
    for (x1, y1, x2, y2), own in zip(queries, image, strict=True):
        covered = np.zeros((60, 60), bool)
        for a1, b1, a2, b2 in others[gt_image == own]:
            covered[b1:b2, a1:a2] = True
        expected.append(covered[y1:y2, x1:x2].mean())
    gts = [(i, box, -1) for i, box in zip(gt_image, others, strict=True)]
    found = share(queries, image=image, pids=np.arange(40), gts=gts)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert 0 < np.mean(expected) < 1
