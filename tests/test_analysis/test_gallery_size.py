from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import hypergeom
from searches import BOX, OTHER, make_inputs

from mmps.evaluation.analysis import listed_gallery_curve, random_gallery_curve

NUM_HARD, NUM_EASY = 4, 4
NUM_QUERIES = 600


def hard_and_easy(num_queries: int):
    """The target is in scene 1; of the others some are more similar, some less."""
    similarities = [0.9] * NUM_HARD + [0.1] * NUM_EASY
    dets = [(0, BOX, 1.0), (1, BOX, 0.5)]
    dets += [(2 + i, OTHER, similarity) for i, similarity in enumerate(similarities)]
    gts = [(0, BOX, 7), (1, BOX, 7)]
    return make_inputs(dets, gts, [(0, 7)] * num_queries, num_images=2 + len(similarities))


def test_random_galleries_are_as_hard_as_chance_says():
    curve = random_gallery_curve(hard_and_easy(NUM_QUERIES), sizes=(4, 1, 7, 2, 50), seed=3)
    assert curve.sizes.tolist() == [1, 2, 4, 7, 9], 'the last is the whole gallery'
    assert curve.mean_scenes.tolist() == [1, 2, 4, 7, 9]
    for size, mean_ap, top1 in zip(curve.sizes, curve.mean_ap, curve.top1, strict=True):
        hard = np.arange(NUM_HARD + 1)
        chance = hypergeom(NUM_HARD + NUM_EASY, NUM_HARD, size - 1).pmf(hard)
        assert mean_ap == pytest.approx((chance / (1 + hard)).sum(), abs=0.03)
        assert top1 == pytest.approx(chance[0], abs=0.05)
    assert curve.mean_ap[0] == curve.top1[0] == 1
    assert curve.mean_ap[-1] == pytest.approx(1 / (1 + NUM_HARD))


def test_galleries_grow_for_every_query_and_hang_on_the_seed_alone():
    def curve(query: int, seed: int) -> list[float]:
        queries = hard_and_easy(query + 1)
        before, after = (
            random_gallery_curve(
                replace(
                    queries,
                    query_embeddings=queries.query_embeddings[:n],
                    protocol=hard_and_easy(n).protocol,
                ),
                sizes=range(1, 9),
                seed=seed,
            ).mean_ap
            for n in (query, query + 1)
        )
        # The last query's own AP, from the means with and without it.
        return (after * (query + 1) - before * query).round(6).tolist()

    curves = [curve(query, seed=1) for query in range(1, 9)]
    for ap in curves:
        assert ap == sorted(ap, reverse=True), 'a larger gallery contains the smaller one'
    assert len({tuple(ap) for ap in curves}) > 4, 'each query has galleries of its own'
    assert curve(3, seed=1) == curves[2]
    assert any(curve(query, seed=2) != curves[query - 1] for query in range(1, 9))


def test_all_targets_stay_in():
    """The person is in five scenes: a gallery of two has all of them and nothing else."""
    dets = [(i, BOX, 0.5) for i in range(1, 6)] + [(i, OTHER, 0.9) for i in range(6, 9)]
    gts = [(i, BOX, 7) for i in range(6)]
    inputs = make_inputs(dets, gts, [(0, 7)], num_images=9)
    curve = random_gallery_curve(inputs, sizes=(2, 6))
    assert curve.sizes.tolist() == [2, 6, 8]
    assert curve.mean_scenes.tolist() == [5, 6, 8]
    # one, then three wrong detections come before the five right ones of equal similarity
    np.testing.assert_allclose(curve.mean_ap, [1, 5 / 6, 5 / 8])


def listed(inputs, scenes):
    return replace(
        inputs,
        protocol=replace(
            inputs.protocol,
            gallery_indptr=np.array([0, len(scenes)]),
            gallery_images=np.array(scenes),
        ),
    )


def test_random_galleries_are_drawn_from_the_listed_one():
    """Scenes 2 and 5 are hard, but 2 is not listed."""
    inputs = listed(hard_and_easy(1), [6, 1, 5, 7, 8])
    curve = random_gallery_curve(inputs, sizes=(1, 4))
    assert curve.sizes.tolist() == [1, 4, 5]
    assert curve.mean_ap[0] == 1
    assert curve.mean_ap[-1] == 0.5


def test_listed_galleries():
    inputs = hard_and_easy(1)
    curve = listed_gallery_curve({3: listed(inputs, [1, 2, 3]), 2: listed(inputs, [6, 1])})
    assert curve.sizes.tolist() == [2, 3]
    assert curve.mean_scenes.tolist() == [2, 3]
    np.testing.assert_allclose(curve.mean_ap, [1, 1 / 3])
    assert curve.top1.tolist() == [1, 0]


def test_what_cannot_be():
    with pytest.raises(ValueError, match='sizes of galleries must be positive'):
        random_gallery_curve(hard_and_easy(1), sizes=(0, 5))
    full = listed(hard_and_easy(1), [1, 2])
    full = replace(full, protocol=replace(full.protocol, full_set=True))
    with pytest.raises(ValueError, match='choose a gallery_size'):
        random_gallery_curve(full)
    with pytest.raises(ValueError, match='There are no queries'):
        hard_and_easy(0)
