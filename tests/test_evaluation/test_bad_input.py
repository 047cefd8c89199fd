"""Arrays that cannot be evaluated give one error that names them; degenerate ones give 0."""

import dataclasses

import numpy as np
import pytest
from search_cases import SearchCase

from mmps.evaluation.functional import evaluate_detection, evaluate_search, identity_protocol

BOX = (0, 0, 50, 100)
QUERIES = [(0, 7, (1.0, 0.0)), (1, 8, (0.0, 1.0))]
GTS = [(0, BOX, 7), (1, BOX, 7), (2, BOX, 8)]
DETS = [(1, BOX, 1.0, (1.0, 0.0)), (2, BOX, 0.75, (0.5, 0.5))]
NOTHING = {'mAP': 0, 'top1': 0, 'top5': 0, 'top10': 0}


def _case(**fields):
    return SearchCase(**{'num_images': 3, 'dets': DETS, 'gts': GTS, 'queries': QUERIES, **fields})


@pytest.mark.parametrize('strict', [False, True])
@pytest.mark.parametrize(
    'fields',
    [
        {'dets': []},
        {'queries': []},
        {'gts': []},
        {'dets': [], 'gts': [], 'queries': []},
        {'num_images': 0, 'dets': [], 'gts': [], 'queries': []},
        {'score_thr': 1.1},
        {'lists': [[], []]},
        {'lists': [[0], [1]]},  # neither target nor detection
        {'dets': [], 'lists': [[], []], 'full_set': True},
        {'cameras': [0, 0, 0]},  # every image is the query's own camera's
        {'dets': [(1, (200, 0, 250, 100), 1.0, (1.0, 0.0))]},  # no target is detected
    ],
    ids=str,
)
def test_nothing_to_find_or_found_is_zero(fields, strict):
    result = _case(**fields, strict=strict).evaluate()
    assert result.summary() == NOTHING
    assert not result.num_found.any()
    assert not result.ranked_correct.any()
    assert len(result.found_det) == len(result.found_similarity) == 0


@pytest.mark.parametrize('rerank', [None, lambda query, det, similarities: None])
def test_zero_embeddings_are_ranked(rerank):
    dets = [(image, box, score, (0.0, 0.0)) for image, box, score, _ in DETS]
    result = _case(dets=dets, rerank=rerank).evaluate()
    # Both detections pass the only threshold of the first query together, one is right; that of
    # the second query's own image does not count.
    assert result.ap.tolist() == [0.5, 1]
    assert result.hits[:, 1].tolist() == [True, True]


def test_equal_boxes_find_a_target_once():
    dets = [DETS[0]] * 3
    for strict in (False, True):
        result = _case(dets=dets, strict=strict).evaluate()
        assert result.num_found.tolist() == [1, 0]
        assert result.ap[0] == pytest.approx(1 / 3)  # the three pass a threshold together


def test_boxes_outside_of_the_image_and_empty_ones():
    far, empty = (-1e6, -1e6, -1e6 + 1, -1e6 + 1), (10, 10, 10, 10)
    dets = [(1, far, 1.0, (1.0, 0.0)), (1, empty, 1.0, (0.5, 0.0))]
    assert _case(dets=dets).evaluate().summary() == NOTHING
    # An empty target asks for an IoU of 0, as in the reference; strictly it is never found.
    gts = [(1, empty, 7)]
    assert _case(dets=dets, gts=gts).evaluate().ap[0] == 1
    assert _case(dets=dets, gts=gts, strict=True).evaluate().ap[0] == 0


def test_floating_types_and_orders_do_not_matter():
    expected = _case().evaluate()
    arrays = _case().arrays()
    order = [1, 0]
    for key in arrays:
        if arrays[key].dtype.kind == 'f':
            arrays[key] = arrays[key].astype(np.float64)
        if key.startswith('det'):
            arrays[key] = np.asfortranarray(arrays[key][order])
    arrays['query_embeddings'] = arrays['query_embeddings'].astype(np.float16)
    result = evaluate_search(**arrays, protocol=_case().protocol())
    assert result.ap.tolist() == expected.ap.tolist()
    assert result.ranked_similarity.dtype == np.float32
    found = result.ranked_det[result.ranked_det >= 0]
    assert [order[det] for det in found] == expected.ranked_det[expected.ranked_det >= 0].tolist()


WRONG_ARRAYS = [
    (
        'query_embeddings',
        lambda a: a[:1],
        r'query_embeddings has shape \(1, 2\), expected \(2, 2\)',
    ),
    ('query_embeddings', lambda a: a[:, :1], 'query_embeddings has shape'),
    ('query_embeddings', lambda a: a.tolist(), 'query_embeddings must be a NumPy array, got list'),
    ('query_embeddings', lambda a: a * [[1], [np.nan]], r'query_embeddings\[1\] is NaN'),
    ('det_embeddings', lambda a: np.where(a == 1, np.inf, a), r'det_embeddings\[0\] is NaN or'),
    ('det_embeddings', lambda a: a.astype(np.int64), 'det_embeddings must hold floating numbers'),
    ('det_embeddings', lambda a: a[0], 'det_embeddings has shape'),
    ('det_embeddings', lambda a: np.float32(1), 'det_embeddings'),
    (
        'det_embeddings',
        lambda a: a.astype(str),
        'det_embeddings must hold floating numbers, got <U',
    ),
    ('det_image', lambda a: a.astype(np.float32), 'det_image must hold signed integers'),
    ('det_image', lambda a: a[:1], 'det_embeddings has shape'),
    ('det_image', lambda a: a[None], r'det_image has shape \(1, 2\), expected a vector'),
    ('det_image', lambda a: a + 1, r'det_image\[1\] is 3, outside of 0..2'),
    ('det_image', lambda a: a - 2, r'det_image\[0\] is -1, outside of 0..2'),
    ('det_bboxes', lambda a: a[:, :3], r'det_bboxes has shape \(2, 3\), expected \(2, 4\)'),
    ('det_bboxes', lambda a: a * np.nan, r'det_bboxes\[0\] is NaN'),
    ('det_scores', lambda a: a[:, None], 'det_scores has shape'),
    ('det_scores', lambda a: a * [1, np.nan], r'det_scores\[1\] is NaN'),
]


@pytest.mark.parametrize(('name', 'change', 'message'), WRONG_ARRAYS)
def test_search_names_the_wrong_array(name, change, message):
    arrays = _case().arrays()
    arrays[name] = change(arrays[name])
    with pytest.raises(ValueError, match=message):
        evaluate_search(**arrays, protocol=_case().protocol())


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'topk': (0,)}, 'topk must be positive'),
        ({'topk': ()}, 'topk must be positive'),
        ({'matching': 'greedy'}, "matching='greedy' is not one of published, strict"),
    ],
)
def test_search_names_the_wrong_option(options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_search(**_case().arrays(), protocol=_case().protocol(), **options)


def test_queries_of_a_protocol_must_be_given():
    protocol = _case(chosen_queries=[1]).protocol()
    arrays = _case().arrays()
    arrays['query_embeddings'] = arrays['query_embeddings'][:1]
    with pytest.raises(ValueError, match=r'queries\[0\] is 1, outside of 0..0'):
        evaluate_search(**arrays, protocol=protocol)


WRONG_FIELDS = [
    ('target_image', np.array([0, 1, 9]), r'target_image\[2\] is 9, outside of 0..2'),
    ('target_image', [0, 1, 2], 'target_image must be a NumPy array'),
    ('target_bboxes', np.zeros((2, 4)), r'target_bboxes has shape \(2, 4\), expected \(3, 4\)'),
    ('target_bboxes', np.full((3, 4), np.nan), r'target_bboxes\[0\] is NaN'),
    ('target_bboxes', np.array([BOX, BOX, (5, 0, 4, 9)]), r'target_bboxes\[2\] .*x2 < x1'),
    ('target_indptr', np.array([0, 2]), r'target_indptr has shape \(2,\), expected \(3,\)'),
    ('target_indptr', np.array([0, 4, 3]), 'target_indptr must have 3 ascending entries from 0 to'),
    ('target_indices', np.array([0, 1, 3]), r'target_indices\[2\] is 3, outside of 0..2'),
    ('own_image', np.array([0, 3]), r'own_image\[1\] is 3, outside of -1..2'),
    ('query_group', np.array([0, 0]), 'query_group and image_group go together'),
    ('gallery_indptr', np.array([0, 0, 0]), 'gallery_indptr and gallery_images go together'),
    ('full_set', True, 'full_set needs gallery_indptr'),
    ('queries', np.array([0]), r'queries has shape \(1,\), expected \(2,\)'),
    ('num_to_find', np.array([1.0, 2.0]), 'num_to_find must hold signed integers'),
]


@pytest.mark.parametrize(('field', 'value', 'message'), WRONG_FIELDS)
def test_protocol_names_the_wrong_field(field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(_case().protocol(), **{field: value})


def test_protocol_names_wrong_lists_and_groups():
    listed = _case(lists=[[0, 1], [2]], cameras=[0, 0, 1]).protocol()
    for changes, message in (
        ({'gallery_images': np.array([0, 1, 3])}, r'gallery_images\[2\] is 3'),
        ({'gallery_images': np.array([1, 1, 2])}, 'names image 1 twice for query 0'),
        ({'query_group': np.array([0])}, 'query_group has shape'),
        ({'image_group': np.array([0, 1])}, 'image_group has shape'),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(listed, **changes)


IDENTITIES = {
    'gt_image': np.array([0, 1, 2]),
    'gt_bboxes': np.array([BOX] * 3, np.float32),
    'gt_pids': np.array([7, 7, 8]),
    'query_image': np.array([0, 1]),
    'query_pids': np.array([7, 8]),
}


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('gt_image', np.array([0, 1, 3]), r'gt_image\[2\] is 3'),
        ('gt_bboxes', np.zeros((3, 5), np.float32), 'gt_bboxes has shape'),
        ('gt_pids', np.array([7, 7]), 'gt_pids has shape'),
        ('gt_pids', np.array(['a', 'b', 'c']), 'gt_pids must hold signed integers'),
        ('query_image', np.array([0, 3]), r'query_image\[1\] is 3'),
        ('query_pids', np.array([7]), 'query_pids has shape'),
        ('image_group', np.array([0]), 'image_group has shape'),
    ],
)
def test_identity_protocol_names_the_wrong_array(field, value, message):
    with pytest.raises(ValueError, match=message):
        identity_protocol(**{**IDENTITIES, field: value}, num_images=3)


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('det_scores', np.array([np.nan], np.float32), r'det_scores\[0\] is NaN'),
        ('det_scores', np.array([1]), 'det_scores must hold floating numbers'),
        ('det_bboxes', np.zeros((1, 5), np.float32), 'det_bboxes has shape'),
        ('det_image', np.array([2]), r'det_image\[0\] is 2, outside of 0..1'),
        ('gt_image', np.array([-1]), r'gt_image\[0\] is -1'),
        ('gt_bboxes', np.zeros((2, 4), np.float32), 'gt_bboxes has shape'),
        ('gt_pids', np.array([0, 0]), 'gt_pids has shape'),
        ('gt_pids', None, 'labelled_only=True needs gt_pids'),
    ],
)
def test_detection_names_the_wrong_array(field, value, message):
    arguments = {
        'det_scores': np.array([0.5], np.float32),
        'det_bboxes': np.array([BOX], np.float32),
        'det_image': np.array([0]),
        'gt_image': np.array([0]),
        'gt_bboxes': np.array([BOX], np.float32),
        'gt_pids': np.array([0]),
    }
    assert evaluate_detection(**arguments, num_images=2)['recall'] == 1
    with pytest.raises(ValueError, match=message):
        evaluate_detection(**{**arguments, field: value}, num_images=2, labelled_only=True)
