import naive_evaluation as naive
import numpy as np
import pytest

from mmps.evaluation.functional import evaluate_detection, paired_iou, target_iou_threshold


def test_paired_iou():
    a = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 1, 1], [5, 5, 5, 5]], np.float32)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [2, 2, 3, 3], [5, 5, 5, 5]], np.float32)
    np.testing.assert_allclose(paired_iou(a, b), [1, 1 / 3, 0, 0])


def test_target_iou_threshold():
    boxes = np.array([[0, 0, 100, 200], [0, 0, 10, 20], [0, 0, 10, 10]], np.float32)
    expected = [0.5, 200 / (20 * 30), 100 / 400]
    np.testing.assert_allclose(target_iou_threshold(boxes), expected)


def _evaluate(dets, gts, **kwargs):
    """``dets``: (image, box, score); ``gts``: (image, box, pid)."""
    return evaluate_detection(
        np.array([d[2] for d in dets], np.float32),
        np.array([d[1] for d in dets], np.float32).reshape(-1, 4),
        det_image=np.array([d[0] for d in dets], np.int64),
        gt_image=np.array([g[0] for g in gts], np.int64),
        gt_bboxes=np.array([g[1] for g in gts], np.float32).reshape(-1, 4),
        gt_pids=np.array([g[2] for g in gts], np.int64),
        **{'num_images': 3, **kwargs},
    )


BOX, OTHER = (0, 0, 10, 20), (50, 0, 60, 20)
SHIFTED = (1, 0, 11, 20)  # IoU 9/11 with BOX


def test_by_hand():
    dets = [(0, BOX, 0.9), (0, SHIFTED, 0.95), (1, OTHER, 0.8), (2, OTHER, 0.7)]
    gts = [(0, BOX, 4), (1, OTHER, -1), (1, BOX, 4)]
    # by score: SHIFTED wrong (BOX overlaps the person more), right, right, wrong; 2 of 3 found
    result = _evaluate(dets, gts)
    assert result['recall'] == pytest.approx(2 / 3)
    assert result['AP'] == pytest.approx((1 / 2 + 2 / 3) / 2 * 2 / 3)


def test_labelled_only_leaves_out_images_without_identities():
    dets = [(0, BOX, 0.9), (0, OTHER, 0.8), (1, BOX, 0.99)]
    gts = [(0, BOX, 4), (0, OTHER, -1), (1, BOX, -1)]
    result = _evaluate(dets, gts, labelled_only=True)
    assert result == {'recall': 1, 'AP': 1}
    dets[0] = (0, BOX, 0.7)  # now the unlabelled person's detection comes first
    assert _evaluate(dets, gts, labelled_only=True) == {'recall': 1, 'AP': 0.5}


def test_score_threshold():
    dets, gts = [(0, BOX, 0.3)], [(0, BOX, 4)]
    assert _evaluate(dets, gts) == {'recall': 1, 'AP': 1}
    assert _evaluate(dets, gts, score_thr=0.4) == {'recall': 0, 'AP': 0}


def test_nothing_to_find_or_found_is_zero():
    assert _evaluate([], [(0, BOX, 4)]) == {'recall': 0, 'AP': 0}
    assert _evaluate([(0, BOX, 0.9)], []) == {'recall': 0, 'AP': 0}
    assert _evaluate([], []) == {'recall': 0, 'AP': 0}


@pytest.mark.parametrize('seed', range(20))
def test_equals_naive(seed):
    rng = np.random.default_rng(seed)
    dets, gts, images = [], [], []
    for image in range(6):
        # a coarse grid, so that equal IoUs and IoUs of exactly 0.5 occur
        corners = rng.integers(0, 4, (rng.integers(0, 7), 2)) * 5.0
        boxes = np.concatenate([corners, corners + rng.integers(1, 4, corners.shape) * 5], 1)
        num = rng.integers(0, len(boxes) + 1)
        scores = np.round(rng.uniform(0, 1, len(boxes) - num), 1).astype(np.float32)
        dets += [(image, box, score) for box, score in zip(boxes[num:], scores, strict=True)]
        gts += [(image, box, 0) for box in boxes[:num]]
        images.append({'bboxes': boxes[num:], 'scores': scores, 'gt': boxes[:num]})
    expected = naive.detection(images, score_thr=0.25, iou_thr=0.5)
    # which of several equal detections is right depends on their order within an image only
    for given in (dets, sorted(dets, key=lambda det: -det[0])):
        result = _evaluate(given, gts, num_images=6, score_thr=0.25)
        assert (result['recall'], result['AP']) == pytest.approx(expected)
