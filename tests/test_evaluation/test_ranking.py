import naive_evaluation as naive
import numpy as np
import pytest

from mmps.evaluation.functional import Protocol, evaluate_search, identity_protocol
from mmps.evaluation.functional import ranking as ranking_module

TOPK = (1, 5, 10)
BOX, OTHER = (0, 0, 50, 100), (200, 0, 250, 100)


def _search(dets, gts, queries, *, cameras, cross_camera=False, **kwargs):
    """``dets``: (image, box, score, embedding); ``gts``: (image, box, pid);
    ``queries``: (image, pid, embedding)."""
    protocol = identity_protocol(
        np.array([g[0] for g in gts], np.int64),
        np.array([g[1] for g in gts], np.float32).reshape(-1, 4),
        gt_pids=np.array([g[2] for g in gts], np.int64),
        query_image=np.array([q[0] for q in queries], np.int64),
        query_pids=np.array([q[1] for q in queries], np.int64),
        num_images=len(cameras),
        image_group=np.array(cameras, np.int64) if cross_camera else None,
    )
    return evaluate_search(
        np.array([q[2] for q in queries], np.float32),
        np.array([d[3] for d in dets], np.float32).reshape(-1, 2),
        det_image=np.array([d[0] for d in dets], np.int64),
        det_bboxes=np.array([d[1] for d in dets], np.float32).reshape(-1, 4),
        det_scores=np.array([d[2] for d in dets], np.float32),
        protocol=protocol,
        **kwargs,
    )


GTS = [(0, BOX, 7), (1, BOX, 7), (2, BOX, 7), (3, BOX, 7), (1, OTHER, -1)]
QUERY = [(0, 7, (1.0, 0.0))]
DETS = [
    (0, BOX, 1.0, (1.0, 0.0)),  # the query's own image does not count
    (1, BOX, 1.0, (0.8, 0.6)),  # right
    (1, OTHER, 1.0, (0.9, 0.1)),  # wrong, most similar
    (2, BOX, 0.5, (1.0, 0.0)),  # right, 0.5 after weighting by the score
    (3, OTHER, 0.9, (0.6, 0.8)),  # wrong, 0.54 after weighting
]


def test_by_hand_with_cws():
    # 0.9 wrong, 0.8 right, 0.54 wrong, 0.5 right; the target of image 3 is not found
    result = _search(DETS, GTS, QUERY, cameras=[0] * 4)
    assert result.ap[0] == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert result.hits[0].tolist() == [False, True, True]
    assert (result.num_targets[0], result.num_found[0]) == (3, 2)
    assert result.ranked_det[0, :5].tolist() == [2, 1, 4, 3, -1]
    np.testing.assert_allclose(result.ranked_similarity[0, :4], [0.9, 0.8, 0.54, 0.5], rtol=1e-6)
    assert result.ranked_correct[0, :5].tolist() == [False, True, False, True, False]
    assert result.summary() == pytest.approx({'mAP': 1 / 3, 'top1': 0, 'top5': 1, 'top10': 1})


def test_by_hand_without_cws():
    # 1.0 right, 0.9 wrong, 0.8 right, 0.6 wrong
    result = _search(DETS, GTS, QUERY, cameras=[0] * 4, cws=False)
    assert result.ap[0] == pytest.approx((1 + 2 / 3) / 3)
    assert result.hits[0].all()


def test_cross_camera_leaves_out_the_own_camera():
    # images 0, 1 of camera 1; images 2, 3 of camera 2
    result = _search(DETS, GTS, QUERY, cameras=[1, 1, 2, 2], cross_camera=True)
    assert result.ranked_det[0, :3].tolist() == [4, 3, -1]
    assert result.ap[0] == pytest.approx(1 / 2 / 2)


def test_score_threshold():
    result = _search(DETS, GTS, QUERY, cameras=[0] * 4, score_thr=0.6)
    assert result.ranked_det[0, :4].tolist() == [2, 1, 4, -1]
    assert result.ap[0] == pytest.approx(1 / 2 / 3)


def test_only_the_most_similar_overlapping_detection_is_right():
    near = (2, 0, 52, 100)
    dets = [(1, BOX, 1.0, (0.5, 0)), (1, near, 1.0, (0.6, 0)), (2, BOX, 1.0, (0.4, 0))]
    result = _search(dets, GTS[:3], QUERY, cameras=[0] * 3)
    assert result.ranked_correct[0, :3].tolist() == [True, False, True]
    assert result.ap[0] == pytest.approx((1 + 2 / 3) / 2)


def test_small_boxes_are_matched_at_lower_iou():
    small = (0, 0, 10, 20)  # threshold 200 / 600
    dets = [(1, (4, 0, 14, 20), 1.0, (1, 0))]  # IoU 6/14
    assert _search(dets, [(1, small, 7)], QUERY, cameras=[0] * 2).ap[0] == 1
    dets = [(1, (6, 0, 16, 20), 1.0, (1, 0))]  # IoU 4/16
    assert _search(dets, [(1, small, 7)], QUERY, cameras=[0] * 2).ap[0] == 0


def test_target_annotated_twice_in_an_image_counts_once_with_its_first_box():
    gts = [(1, BOX, 7), (1, OTHER, 7)]
    found = _search([(1, BOX, 1.0, (1, 0))], gts, QUERY, cameras=[0] * 2)
    assert (found.num_targets[0], found.ap[0]) == (1, 1)
    lost = _search([(1, OTHER, 1.0, (1, 0))], gts, QUERY, cameras=[0] * 2)
    assert (lost.num_targets[0], lost.ap[0]) == (1, 0)


def test_no_detections_and_no_targets_are_zero():
    nothing = _search([], GTS, QUERY, cameras=[0] * 4)
    assert nothing.summary() == {'mAP': 0, 'top1': 0, 'top5': 0, 'top10': 0}
    assert (nothing.ranked_det == -1).all()
    nowhere = _search(DETS, [(0, BOX, 7)], QUERY, cameras=[0] * 4)
    assert nowhere.summary()['mAP'] == 0
    assert nowhere.num_targets[0] == 0


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match='topk'):
        _search(DETS, GTS, QUERY, cameras=[0] * 4, topk=(0,))
    with pytest.raises(ValueError, match='query_embeddings has shape'):
        _search(DETS, GTS, [(0, 7, (1.0, 0.0, 0.0))], cameras=[0] * 4)
    with pytest.raises(ValueError, match=r'own_image\[0\] is 9'):
        Protocol(
            num_images=4,
            target_image=np.zeros(0, np.int64),
            target_bboxes=np.zeros((0, 4)),
            target_indptr=np.zeros(2, np.int64),
            target_indices=np.zeros(0, np.int64),
            own_image=np.array([9]),
        )


def _random_case(seed):
    """A small gallery with many equal similarities, empty images and lost targets."""
    rng = np.random.default_rng(seed)
    num_images = int(rng.integers(3, 12))
    gts, dets = [], []
    for image in range(num_images):
        for pid in rng.choice(5, rng.integers(0, 5), replace=bool(seed % 2)):
            x, y = rng.integers(0, 20, 2) * 8
            box = np.array([x, y, x + rng.integers(2, 6) * 8, y + rng.integers(4, 9) * 8])
            gts.append((image, box, int(pid) - 1))
            for _ in range(rng.integers(0, 3)):
                dets.append((image, box + rng.integers(-1, 2, 4) * 4))
        dets += [(image, (0, 0, 30, 60))] * int(rng.integers(0, 2))
    if seed % 10 == 0:
        dets = []
    # few distinct values whose products float32 holds exactly, so that ties are ties everywhere
    dets = [
        (i, box, rng.choice([0.25, 0.5, 0.75, 1.0]), rng.integers(-2, 3, 2) / 4) for i, box in dets
    ]
    queries = [
        (int(rng.integers(num_images)), int(rng.integers(0, 4)), rng.integers(-2, 3, 2) / 4)
        for _ in range(4)
    ]
    return num_images, gts, dets, queries, rng


def _naive_galleries(num_images, gts, dets, query, allowed):
    for image in range(num_images):
        if not allowed(image):
            continue
        index = [n for n, d in enumerate(dets) if d[0] == image and d[2] >= 0.5]
        entry = {
            'index': np.array(index, np.int64),
            'bboxes': np.array([dets[n][1] for n in index]).reshape(-1, 4),
            'features': np.array([dets[n][3] * dets[n][2] for n in index]).reshape(-1, 2),
        }
        boxes = [g[1] for g in gts if g[0] == image and g[2] == query[1]]
        yield {**entry, 'target': boxes[0]} if boxes else entry


def _assert_equal(result, query_number, expected):
    ap, hits, ranking, correct = expected
    assert result.ap[query_number] == pytest.approx(ap, abs=1e-9)
    assert result.hits[query_number].tolist() == hits
    num = min(len(ranking), result.ranked_det.shape[1])
    assert result.ranked_det[query_number, :num].tolist() == ranking[:num]
    assert result.ranked_correct[query_number, :num].tolist() == correct[:num]
    assert (result.ranked_det[query_number, num:] == -1).all()


@pytest.mark.parametrize('seed', range(60))
@pytest.mark.parametrize('cross_camera', [False, True])
def test_equals_naive(seed, cross_camera, monkeypatch):
    monkeypatch.setattr(ranking_module, '_BLOCK_VALUES', 1)
    monkeypatch.setattr(ranking_module, '_MIN_BLOCK_QUERIES', 3)  # several blocks
    num_images, gts, dets, queries, rng = _random_case(seed)
    cameras = rng.integers(0, 3, num_images)
    result = _search(dets, gts, queries, cameras=cameras, cross_camera=cross_camera)
    for number, query in enumerate(queries):

        def allowed(image, own=query[0]):
            return image != own and not (cross_camera and cameras[image] == cameras[own])

        gallery = _naive_galleries(num_images, gts, dets, query, allowed)
        _assert_equal(result, number, naive.search(query[2], list(gallery), TOPK))


@pytest.mark.parametrize('seed', range(30))
def test_listed_galleries_equal_naive(seed):
    num_images, gts, dets, queries, rng = _random_case(seed)
    lists = [np.flatnonzero(rng.random(num_images) < 0.6) for _ in queries]
    targets = [[n for n, g in enumerate(gts) if g[2] == q[1]] for q in queries]
    protocol = Protocol(
        num_images=num_images,
        target_image=np.array([g[0] for g in gts], np.int64),
        target_bboxes=np.array([g[1] for g in gts], np.float32).reshape(-1, 4),
        target_indptr=np.cumsum([0] + [len(t) for t in targets]),
        target_indices=np.array([n for t in targets for n in t], np.int64),
        own_image=np.array([q[0] for q in queries]),
        gallery_indptr=np.cumsum([0] + [len(images) for images in lists]),
        gallery_images=np.concatenate(lists),
    )
    result = evaluate_search(
        np.array([q[2] for q in queries], np.float32),
        np.array([d[3] for d in dets], np.float32).reshape(-1, 2),
        det_image=np.array([d[0] for d in dets], np.int64),
        det_bboxes=np.array([d[1] for d in dets], np.float32).reshape(-1, 4),
        det_scores=np.array([d[2] for d in dets], np.float32),
        protocol=protocol,
    )
    for number, query in enumerate(queries):

        def allowed(image, own=query[0], images=lists[number]):
            return image != own and image in images

        gallery = _naive_galleries(num_images, gts, dets, query, allowed)
        _assert_equal(result, number, naive.search(query[2], list(gallery), TOPK))


def test_large_gallery_equals_sorting():
    """Enough detections for the shortcut that finds the first ranks without sorting."""
    rng = np.random.default_rng(0)
    num = 1500
    similarity = np.round(rng.normal(size=num), 3).astype(np.float32)
    dets = [(i + 1, BOX, 1.0, (s, 0.0)) for i, s in enumerate(similarity)]
    gts = [(int(i), BOX, 7) for i in rng.choice(num, 50, replace=False) + 1]
    result = _search(dets, gts, QUERY, cameras=[0] * (num + 1), num_ranked=20)
    order = np.argsort(similarity, kind='stable')[::-1]
    assert result.ranked_det[0].tolist() == order[:20].tolist()
    correct = np.isin(np.arange(1, num + 1), [g[0] for g in gts])
    assert result.ap[0] == pytest.approx(naive.average_precision(similarity, correct))
