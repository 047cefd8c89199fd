"""``matching='strict'``: by hand, and against pycocotools."""

import naive_evaluation as naive
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from search_cases import SearchCase

from mmps.evaluation.functional.matching import one_to_one, paired_iou

BOX, OTHER = (0, 0, 50, 100), (200, 0, 250, 100)
QUERY = [(0, 7, (1.0, 0.0))]


def test_every_box_of_the_target_counts():
    gts = [(1, BOX, 7), (1, OTHER, 7), (2, BOX, 7)]
    dets = [(1, OTHER, 1.0, (1.0, 0)), (1, BOX, 1.0, (0.5, 0)), (2, OTHER, 1.0, (0.75, 0))]
    case = SearchCase(3, dets, gts, QUERY, strict=True)
    result = case.evaluate()
    assert (result.num_targets[0], result.num_found[0]) == (3, 2)
    assert result.ap[0] == pytest.approx((1 + 2 / 3) / 3)
    case.strict = False  # the second box of image 1 does not count: only the 0.5 is right
    result = case.evaluate()
    assert (result.num_targets[0], result.num_found[0]) == (2, 1)
    assert result.ap[0] == pytest.approx(1 / 3 / 2)


def test_a_detection_finds_one_box_and_a_box_is_found_once():
    near = (2, 0, 52, 100)
    one_det = SearchCase(
        2, [(1, BOX, 1.0, (1, 0))], [(1, BOX, 7), (1, near, 7)], QUERY, strict=True
    )
    assert one_det.evaluate().ap[0] == 0.5
    dets = [(1, BOX, 1.0, (1, 0)), (1, near, 1.0, (0.5, 0))]
    one_box = SearchCase(2, dets, [(1, BOX, 7)], QUERY, strict=True)
    assert one_box.evaluate().ranked_correct[0, :2].tolist() == [True, False]


def test_small_boxes_get_no_relief():
    dets = [(1, (4, 0, 14, 20), 1.0, (1, 0))]  # IoU 6/14
    case = SearchCase(2, dets, [(1, (0, 0, 10, 20), 7)], QUERY, strict=True)
    assert case.evaluate().ap[0] == 0
    case.strict = False
    assert case.evaluate().ap[0] == 1


@pytest.mark.parametrize(('order', 'num_found'), [((0, 1), 2), ((1, 0), 1)])
def test_of_equal_overlaps_the_last_is_taken(order, num_found):
    targets = np.array([(0, 0, 20, 10), (4, 0, 24, 10)])[list(order)]
    dets = np.array([(2, 0, 22, 10), (0, 0, 18, 10)])  # the second overlaps (0, 0, 20, 10) only
    similarity = np.array([1.0, 0.5])
    assert len(_cocoeval_matches(dets, similarity, targets, 0.75)) == num_found
    case = SearchCase(
        2,
        [(1, det, 1.0, (value, 0)) for det, value in zip(dets, similarity, strict=True)],
        [(1, target, 7) for target in targets],
        QUERY,
        strict=True,
        iou_thr=0.75,
    )
    assert case.evaluate().num_found[0] == num_found


def _cocoeval_matches(dets, similarity, targets, iou_thr):
    """Which detections of one image pycocotools takes for right."""
    truth = COCO()
    truth.dataset = {
        'images': [{'id': 1}],
        'categories': [{'id': 1}],
        'annotations': [
            {'id': n + 1, 'image_id': 1, 'category_id': 1, 'iscrowd': 0, **_coco_box(box)}
            for n, box in enumerate(targets)
        ],
    }
    truth.createIndex()
    found = COCO()
    found.dataset = {
        **truth.dataset,
        'annotations': [
            {'id': n + 1, 'image_id': 1, 'category_id': 1, 'score': score, **_coco_box(box)}
            for n, (box, score) in enumerate(zip(dets, similarity, strict=True))
        ],
    }
    found.createIndex()
    evaluation = COCOeval(truth, found, 'bbox')
    evaluation.params.iouThrs = np.array([iou_thr])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ['all']
    evaluation.params.maxDets = [100]
    evaluation.evaluate()
    image = evaluation.evalImgs[0]
    if image is None:  # neither detections nor targets
        return set()
    matched = np.flatnonzero(image['dtMatches'][0])
    return {int(image['dtIds'][n]) - 1 for n in matched}


def _coco_box(box):
    x1, y1, x2, y2 = (float(x) for x in box)
    return {'bbox': [x1, y1, x2 - x1, y2 - y1], 'area': (x2 - x1) * (y2 - y1)}


@pytest.mark.parametrize('seed', range(150))
def test_equals_pycocotools(seed):
    rng = np.random.default_rng(seed)
    dets, targets = (
        np.concatenate([corners, corners + rng.integers(1, 4, corners.shape) * 5], axis=1)
        for corners in (rng.integers(0, 4, (num, 2)) * 5 for num in rng.integers(0, 7, 2))
    )
    similarity = rng.integers(0, 4, len(dets)) / 4  # ties
    expected = _cocoeval_matches(dets, similarity, targets, 0.5)
    assert naive.one_to_one(similarity, dets, list(targets), 0.5) == expected

    target, det = (x.ravel() for x in np.mgrid[: len(targets), : len(dets)])
    iou = paired_iou(dets[det], targets[target])
    target, det, iou = (x[iou >= 0.5] for x in (target, det, iou))
    pairs = one_to_one(target, similarity[det], det=det, iou=iou)
    assert set(det[pairs].tolist()) == expected
    assert len(set(target[pairs].tolist())) == len(pairs)


@pytest.mark.parametrize('num_boxes', [1, 2, 3])
def test_ties_are_ordered_alike_however_many_boxes_an_image_has(num_boxes):
    dets = [(1, BOX, 1.0, (0.5, 0)), (1, OTHER, 1.0, (0.5, 0))]
    case = SearchCase(2, dets, [(1, BOX, 7)] * num_boxes, QUERY, strict=True)
    assert case.evaluate().ranked_det[0, :2].tolist() == [0, 1]
    assert case.evaluate_plainly(0)['ranking'] == [0, 1]
