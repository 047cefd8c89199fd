"""Context bipartite graph matching against a plain version that tries every assignment."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from mmps.evaluation.functional import evaluate_search, identity_protocol
from mmps.evaluation.functional.cbgm import cbgm_reranker, companion_detections

LEFT, MIDDLE, RIGHT = (0, 0, 40, 100), (100, 0, 140, 100), (200, 0, 240, 100)


def best_assignment(graph):
    """Pairs (person, detection) of the largest sum; every row or every column has one."""
    persons, detections = range(len(graph)), range(len(graph[0]))
    if len(persons) <= len(detections):
        options = [
            list(zip(persons, p, strict=True)) for p in permutations(detections, len(persons))
        ]
    else:
        options = [
            list(zip(p, detections, strict=True)) for p in permutations(persons, len(detections))
        ]
    return max(options, key=lambda pairs: sum(graph[i][j] for i, j in pairs))


def plain_cbgm(similarities, images, features, companions, *, k1):
    """Re-ranked similarities of one query.

    Args:
        similarities: of each detection in the gallery, -inf where it does not count.
        images: image of each of them.
        features: embedding of each, weighted or not.
        companions: embeddings of the persons beside the query.
        k1: number of detections whose images are matched.
    """
    order = sorted(range(len(similarities)), key=lambda n: (similarities[n], n))
    nearest = [n for n in order[-k1:] if similarities[n] > -np.inf]
    result = list(similarities)
    for image in {images[n] for n in nearest}:
        members = [n for n in range(len(images)) if images[n] == image]
        graph = [[similarities[n] for n in members]]
        graph += [[float(person @ features[n]) for n in members] for person in companions]
        pairs = best_assignment(graph)
        for person, member in pairs:
            if person == 0:
                result[members[member]] = max(graph[i][j] for i, j in pairs)
    return np.array(result)


def make_reranker(dets, *, box=LEFT, **kwargs):
    """One query at ``box`` of image 0; ``dets``: (image, box, score, embedding)."""
    return cbgm_reranker(
        np.array([d[3] for d in dets], np.float32).reshape(-1, 2),
        np.array([d[2] for d in dets], np.float32),
        det_image=np.array([d[0] for d in dets], np.int64),
        det_bboxes=np.array([d[1] for d in dets], np.float32).reshape(-1, 4),
        query_image=np.array([0]),
        query_bboxes=np.array([box], np.float32),
        **kwargs,
    )


# The query has embedding (1, 0), its companion (0, 1).
COMPANION = (0, RIGHT, 0.9, (0.0, 1.0))
DETS = [
    COMPANION,
    (1, LEFT, 1.0, (0.6, 0.8)),
    (1, RIGHT, 1.0, (0.5, 0.9)),
    (2, LEFT, 0.5, (0.7, 0.7)),
]


def rerank(dets, *, det=None, similarities=None, **kwargs):
    """Similarities of the query with the detections outside its own image after re-ranking."""
    outside = [n for n, d in enumerate(dets) if d[0] != 0]
    det = np.array(outside if det is None else det, np.int64)
    if similarities is None:
        weights = [dets[n][2] if kwargs.get('cws', True) else 1.0 for n in det]
        similarities = [dets[n][3][0] * weight for n, weight in zip(det, weights, strict=True)]
    values = np.array(similarities, np.float32)
    make_reranker(dets, **kwargs)(0, det, values)
    return values


def test_by_hand():
    # Image 1: the query with the first and its companion with the second, 0.6 + 0.9, is better
    # than 0.5 + 0.8; the first takes over 0.9. Image 2: one detection for two persons, with CWS
    # 0.35 for each; without it it is still the query's by order, and nothing changes.
    np.testing.assert_allclose(rerank(DETS), [0.9, 0.5, 0.35], rtol=1e-6)
    np.testing.assert_allclose(rerank(DETS, cws=False), [0.9, 0.5, 0.7], rtol=1e-6)


def test_the_gallerys_scores_weight_companions_but_not_their_own():
    dets = [(0, RIGHT, 0.1, (0.0, 1.0)), (1, LEFT, 0.8, (1.0, 0.0)), (1, RIGHT, 0.6, (0.0, 1.0))]
    np.testing.assert_allclose(rerank(dets), [0.8, 0.6 * 0], rtol=1e-6)
    dets[2] = (1, RIGHT, 0.9, (0.0, 1.0))
    np.testing.assert_allclose(rerank(dets), [0.9, 0], rtol=1e-6)
    np.testing.assert_allclose(rerank(dets, cws=False), [1, 0], rtol=1e-6)


def test_only_the_images_of_the_nearest_detections_are_matched():
    # Both of the two nearest are in image 1.
    dets = [
        COMPANION,
        (1, LEFT, 1.0, (0.6, 0.0)),
        (1, RIGHT, 1.0, (0.5, 0.9)),
        (2, LEFT, 1.0, (0.4, 0.0)),
        (2, RIGHT, 1.0, (0.0, 0.9)),
    ]
    np.testing.assert_allclose(rerank(dets, k1=2), [0.9, 0.5, 0.4, 0.0], rtol=1e-6)
    np.testing.assert_allclose(rerank(dets, k1=3), [0.9, 0.5, 0.9, 0.0], rtol=1e-6)
    # More than there are.
    np.testing.assert_allclose(rerank(dets, k1=100), [0.9, 0.5, 0.9, 0.0], rtol=1e-6)


def test_of_equally_similar_detections_the_last_in_the_gallery_are_the_nearest():
    pair = [((0.5, 0.0), LEFT), ((0.0, 1.0), RIGHT)]
    dets = [COMPANION] + [(i, box, 1.0, x) for i in (1, 2, 3) for x, box in pair]
    np.testing.assert_allclose(rerank(dets, k1=1), [0.5, 0, 0.5, 0, 1, 0], rtol=1e-6)
    np.testing.assert_allclose(rerank(dets, k1=2), [0.5, 0, 1, 0, 1, 0], rtol=1e-6)
    # The gallery's order is that of `det`, not that of the images.
    order = [5, 6, 1, 2, 3, 4]
    np.testing.assert_allclose(rerank(dets, k1=1, det=order), [0.5, 0, 0.5, 0, 1, 0], rtol=1e-6)


def test_fewer_detections_than_persons():
    # The only detection of image 1 is the companion's: the query gets none, nothing changes.
    dets = [COMPANION, (1, LEFT, 1.0, (0.6, 0.8)), (2, LEFT, 1.0, (0.5, 0.1))]
    np.testing.assert_allclose(rerank(dets), [0.6, 0.5], rtol=1e-6)


@pytest.mark.parametrize(
    'dets',
    [
        DETS[1:],  # no detections on the query's image
        [(0, LEFT, 1.0, (0.0, 1.0)), *DETS[1:]],  # only the query's own
    ],
)
def test_without_companions_nothing_changes(dets):
    np.testing.assert_allclose(rerank(dets), [0.6, 0.5, 0.35], rtol=1e-6)


def test_k2_of_one_is_the_query_alone():
    np.testing.assert_allclose(rerank(DETS, k2=1), [0.6, 0.5, 0.35], rtol=1e-6)


def test_empty_and_excluded_galleries():
    assert rerank(DETS, det=[]).shape == (0,)
    # -inf: the query's own image, as evaluate_search leaves it out
    values = rerank(DETS, det=[0, 1, 2, 3], similarities=[-np.inf, 0.6, 0.5, 0.35])
    np.testing.assert_allclose(values, [-np.inf, 0.9, 0.5, 0.35], rtol=1e-6)
    assert (rerank(DETS, det=[0], similarities=[-np.inf]) == -np.inf).all()


@pytest.mark.parametrize('arguments', [dict(k1=0), dict(k2=0)])
def test_errors(arguments):
    with pytest.raises(ValueError, match='k1 and k2 of at least 1'):
        make_reranker(DETS, **arguments)


def test_companions():
    det_image = np.array([1, 0, 0, 1, 0, 0, 0])
    boxes = np.array([LEFT, RIGHT, MIDDLE, RIGHT, LEFT, (20, 0, 60, 100), RIGHT], np.float32)
    scores = np.array([0.9, 0.6, 0.8, 0.7, 1.0, 0.55, 0.6])
    indptr, det = companion_detections(
        np.array([0, 2, 1, 0]),  # nothing is found on image 2
        np.array([LEFT, LEFT, LEFT, RIGHT], np.float32),
        det_image=det_image,
        det_bboxes=boxes,
        det_scores=scores,
        num=3,
    )
    found = [det[begin:end].tolist() for begin, end in pairwise(indptr)]
    assert found == [[2, 1, 6], [], [3], [4, 2, 5]]
    indptr, det = companion_detections(
        np.array([0]),
        np.array([LEFT], np.float32),
        det_image=det_image,
        det_bboxes=boxes,
        det_scores=scores,
        num=4,
    )
    assert det.tolist() == [2, 1, 6, 5]  # IoU of the last is 1/3


@pytest.mark.parametrize('cws', [True, False])
@pytest.mark.parametrize('seed', range(20))
def test_equals_plain(seed, cws):
    rng = np.random.default_rng(seed)
    num_images, k1, k2 = 8, int(rng.integers(1, 12)), int(rng.integers(1, 5))
    det_image = np.repeat(np.arange(num_images), rng.integers(0, 5, num_images))
    num = len(det_image)
    embeddings = rng.normal(size=(num, 3)).astype(np.float32)
    scores = rng.uniform(0.5, 1, num).astype(np.float32)
    # Side by side: detections of an image never overlap, the query overlaps the first.
    place = np.arange(num) - np.searchsorted(det_image, det_image)
    boxes = (place[:, None] * [100, 0, 100, 0] + LEFT).astype(np.float32)
    queries = rng.integers(0, num_images, 4)
    reranker = cbgm_reranker(
        embeddings,
        scores,
        det_image=det_image,
        det_bboxes=boxes,
        query_image=queries,
        query_bboxes=np.tile(np.float32(LEFT), (4, 1)),
        k1=k1,
        k2=k2,
        cws=cws,
    )
    features = embeddings * scores[:, None] if cws else embeddings
    images = rng.permutation(num_images)
    det = np.concatenate([np.flatnonzero(det_image == image) for image in images])
    for query, image in enumerate(queries):
        row = features[det] @ rng.normal(size=3).astype(np.float32)
        row[det_image[det] == image] = -np.inf
        beside = [n for n in range(num) if det_image[n] == image and place[n] > 0]
        beside = sorted(beside, key=lambda n: -scores[n])[: k2 - 1]
        expected = row
        if beside:
            expected = plain_cbgm(row, det_image[det], features[det], embeddings[beside], k1=k1)
        reranked = row.copy()
        reranker(query, det, reranked)
        np.testing.assert_allclose(reranked, expected, rtol=1e-5)


def test_in_a_search_the_reranked_similarities_say_which_detection_is_correct():
    """Of two detections of the target, the second is the query's once its companion is matched."""
    near = (2, 0, 42, 100)
    dets = [
        (0, RIGHT, 1.0, (0.0, 1.0)),  # the companion
        (1, LEFT, 1.0, (0.8, 0.6)),  # two boxes of the target; the first looks like both persons
        (1, near, 1.0, (0.7, 0.0)),
    ]
    embeddings = np.array([d[3] for d in dets], np.float32)
    arrays = {
        'det_image': np.array([d[0] for d in dets]),
        'det_bboxes': np.array([d[1] for d in dets], np.float32),
    }
    scores = np.ones(3, np.float32)
    # Matched are the query with the second box and the companion with the first: 0.7 + 0.6
    # is more than 0.8 + 0. The second box keeps max(0.7, 0.6), the first its 0.8.
    protocol = identity_protocol(
        np.array([0, 1]),
        np.array([LEFT, LEFT], np.float32),
        gt_pids=np.array([5, 5]),
        query_image=np.array([0]),
        query_pids=np.array([5]),
        num_images=2,
    )
    result = evaluate_search(
        np.array([[1, 0]], np.float32),
        embeddings,
        det_scores=scores,
        protocol=protocol,
        rerank=make_reranker(dets),
        **arrays,
    )
    np.testing.assert_allclose(result.ranked_similarity[0, :2], [0.8, 0.7], rtol=1e-6)

    # A companion that is surer of the first box lifts the second above it, and makes it correct.
    embeddings[1] = 0.8, 0.95
    dets[1] = (1, LEFT, 1.0, (0.8, 0.95))
    result = evaluate_search(
        np.array([[1, 0]], np.float32),
        embeddings,
        det_scores=scores,
        protocol=protocol,
        rerank=make_reranker(dets),
        **arrays,
    )
    assert result.ranked_det[0, :2].tolist() == [2, 1]
    np.testing.assert_allclose(result.ranked_similarity[0, :2], [0.95, 0.8], rtol=1e-6)
    assert result.ranked_correct[0, :2].tolist() == [True, False]
    assert result.ap[0] == 1
