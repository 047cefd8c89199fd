import naive_evaluation as naive
import numpy as np
import pytest
from search_cases import SearchCase

from mmps.evaluation.functional import evaluate_search, identity_protocol

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


@pytest.mark.parametrize('images', [[2, 0, 1], [1, 2, 0]])
def test_listed_galleries_keep_their_order(images):
    """It shows where similarities are equal; and the own image counts if it is listed."""
    dets = [(image, OTHER, 1.0, (0.5, 0.0)) for image in range(3)]
    case = SearchCase(3, dets, gts=[], queries=QUERY, lists=[images])
    order = np.argsort(np.full(3, 0.5, np.float32))[::-1]
    assert case.evaluate().ranked_det[0, :4].tolist() == [*np.array(images)[order], -1]


def test_full_set_takes_listed_images_twice_unless_strict():
    dets = [
        (1, BOX, 1.0, (0.5, 0.0)),  # right where listed, wrong before: precision 1 / 2
        (2, BOX, 1.0, (0.25, 0.0)),  # not listed: once, and right
        (3, OTHER, 1.0, (0.75, 0.0)),  # wrong, twice as it is listed
    ]
    case = SearchCase(4, dets, gts=GTS[:3], queries=QUERY, lists=[[3, 1]], full_set=True)
    result = case.evaluate()
    assert sorted(result.ranked_det[0, :6].tolist()) == [-1, 0, 0, 1, 2, 2]
    assert result.ap[0] == pytest.approx((1 / 4 + 2 / 5) / 2)
    case.strict = True
    result = case.evaluate()
    assert result.ranked_det[0, :4].tolist() == [2, 0, 1, -1]
    assert result.ap[0] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_num_to_find_is_what_ap_is_divided_by():
    dets = [(1, BOX, 1.0, (0.5, 0.0))]
    case = SearchCase(2, dets, gts=[(1, BOX, 7)], queries=QUERY, num_to_find=[2])
    result = case.evaluate()
    assert (result.ap[0], result.num_targets[0], result.num_found[0]) == (0.5, 2, 1)
    case.strict = True
    assert case.evaluate().ap[0] == 1
    case = SearchCase(2, dets, gts=[(1, BOX, 7)], queries=QUERY, num_to_find=[0])
    with pytest.raises(ValueError, match=r'num_to_find\[0\] is 0, but 1 gallery images'):
        case.evaluate()


def test_protocol_may_choose_queries():
    queries = [(0, 7, (1.0, 0.0)), (0, 7, (0.0, 1.0)), (0, 7, (-1.0, 0.0))]
    case = SearchCase(4, DETS, GTS, queries, chosen_queries=[2, 1])
    asked = []
    case.rerank = lambda query, *_: asked.append(query)
    result = case.evaluate()
    assert result.ranked_det[:, :2].tolist() == [[3, 4], [4, 1]]
    assert asked == [2, 1]


def test_reranking_comes_before_matching():
    """Both detections overlap the target: the one that is lifted becomes the right one."""
    dets = [(1, BOX, 1.0, (0.5, 0)), (1, (2, 0, 52, 100), 1.0, (0.25, 0)), (0, BOX, 1.0, (1, 0))]
    seen = []

    def rerank(query, det, similarities):
        seen.append((query, det.tolist(), similarities.tolist()))
        similarities[det == 1] += 1

    case = SearchCase(2, dets, gts=[(1, BOX, 7)], queries=QUERY, rerank=rerank)
    result = case.evaluate()
    assert seen == [(0, [2, 0, 1], [-np.inf, 0.5, 0.25])]
    assert result.ranked_det[0, :2].tolist() == [1, 0]
    assert result.ranked_correct[0, :2].tolist() == [True, False]
    assert result.found_det.tolist() == [1]
    assert result.found_similarity.tolist() == [1.25]


def test_gallery_of_a_query():
    case = SearchCase(4, [], GTS, QUERY, cameras=[0, 0, 1, 2])
    assert case.protocol().gallery_of(0).tolist() == [2, 3]
    case.lists = [[3, 0]]
    assert case.protocol().gallery_of(0).tolist() == [3, 0]
    case.full_set = True
    assert case.protocol().gallery_of(0).tolist() == [0, 2, 3]


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
