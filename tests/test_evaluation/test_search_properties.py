"""Searches on small random cases: evaluate_search equals the plain implementation."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_cases import TOPK, SearchCase, shuffle_similarities

from mmps.evaluation.functional import ranking

NUM_IMAGES, NUM_PIDS = 6, 3

images = st.integers(0, NUM_IMAGES - 1)
pids = st.integers(-1, NUM_PIDS - 1)
quarters = st.integers(-2, 2).map(lambda n: n / 4)
embeddings = st.tuples(quarters, quarters)
# Few boxes on a coarse grid: equal ones, empty ones, and overlaps of exactly the threshold occur.
boxes = st.builds(
    lambda x, y, w, h: (x, y, x + w, y + h),
    st.sampled_from([0, 5, 10]),
    st.sampled_from([0, 10]),
    st.sampled_from([0, 10, 20]),
    st.sampled_from([10, 20, 40]),
)
dets = st.tuples(images, boxes, st.sampled_from([0.25, 0.5, 0.75, 1.0]), embeddings)
gts = st.tuples(images, boxes, pids)
queries = st.tuples(images, st.integers(0, NUM_PIDS), embeddings)


@st.composite
def cases(draw):
    num_queries = draw(st.integers(0, 4))
    per_query = dict(min_size=num_queries, max_size=num_queries)
    annotations = draw(st.lists(gts, max_size=8))
    case = SearchCase(
        num_images=NUM_IMAGES,
        dets=draw(st.lists(dets, max_size=20)),
        gts=annotations,
        queries=draw(st.lists(queries, **per_query)),
        strict=draw(st.booleans()),
        rerank=draw(st.sampled_from([None, shuffle_similarities])),
        cws=draw(st.booleans()),
        score_thr=draw(st.sampled_from([0.0, 0.5, 0.9])),
        iou_thr=draw(st.sampled_from([0.5, 0.75])),
    )
    if draw(st.booleans()):
        case.cameras = draw(st.lists(st.integers(0, 2), min_size=NUM_IMAGES, max_size=NUM_IMAGES))
    if draw(st.booleans()):
        case.lists = draw(st.lists(st.lists(images, unique=True), **per_query))
        case.full_set = draw(st.booleans())
    if draw(st.booleans()):
        enough = st.integers(len(annotations), len(annotations) + 2)
        case.num_to_find = draw(st.lists(enough, **per_query))
    if draw(st.booleans()):
        case.chosen_queries = draw(st.permutations(range(num_queries)))[: num_queries // 2]
    return case


@settings(max_examples=2000, deadline=None, derandomize=True)
@given(case=cases(), block=st.integers(1, 3))
def test_equals_plain_implementation(case, block):
    with (
        mock.patch.object(ranking, '_BLOCK_VALUES', 1),
        mock.patch.object(ranking, '_MIN_BLOCK_QUERIES', block),
    ):
        result = case.evaluate()
    found_starts = np.cumsum([0, *result.num_found])
    for row, number in enumerate(case.searched):
        expected = case.evaluate_plainly(number)
        assert result.ap[row] == pytest.approx(expected['ap'], abs=1e-9)
        assert result.hits[row].tolist() == expected['hits']
        assert result.num_targets[row] == expected['num_targets']
        assert result.num_found[row] == expected['num_found']
        num = min(len(expected['ranking']), max(TOPK))
        assert result.ranked_det[row, :num].tolist() == expected['ranking'][:num]
        assert result.ranked_similarity[row, :num].tolist() == expected['similarity'][:num]
        assert result.ranked_correct[row, :num].tolist() == expected['correct'][:num]
        assert (result.ranked_det[row, num:] == -1).all()
        assert not result.ranked_correct[row, num:].any()
        right = [
            (index, similarity)
            for index, similarity, is_right in zip(
                expected['ranking'], expected['similarity'], expected['correct'], strict=True
            )
            if is_right
        ]
        found = slice(found_starts[row], found_starts[row + 1])
        found = zip(result.found_det[found], result.found_similarity[found], strict=True)
        assert sorted(found) == sorted(right)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(case=cases(), k=st.integers(1, 30))
def test_figures_are_fractions_and_grow_with_k(case, k):
    result = case.evaluate(topk=(1, k, k + 1), num_ranked=1)
    assert ((result.ap >= 0) & (result.ap <= 1)).all()
    assert (result.num_found <= result.num_targets).all()
    assert (result.hits[:, 0] <= result.hits[:, 1]).all()
    assert (result.hits[:, 1] <= result.hits[:, 2]).all()
    assert (result.ap > 0).tolist() == (result.num_found > 0).tolist()
