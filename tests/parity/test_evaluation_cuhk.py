"""The figures of the published evaluation code on CUHK-SYSU's real protocol, at full size."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from evaluation_cases import (
    Figures,
    arrays_of,
    check_detection,
    check_search,
    golden_figures,
    search_options,
    simulate,
)

from mmps.datasets import CUHKSYSUDataset
from mmps.evaluation import Predictions
from mmps.evaluation.functional import Search

CBGM = dict(k1=10, k2=3)


@pytest.fixture(scope='module')
def dataset(cuhk_sysu_root: Path) -> CUHKSYSUDataset:
    return CUHKSYSUDataset(str(cuhk_sysu_root), 'gallery', check_frames=False, test_mode=True)


@pytest.fixture(scope='module')
def predictions(dataset: CUHKSYSUDataset, fixtures: Any) -> Callable[[int], Predictions]:
    """Simulated predictions by seed."""
    person_ids = range(1, 1 + dataset.num_persons)  # a person's place in the protocol, from 1
    return cache(lambda seed: simulate(dataset, fixtures, seed, person_ids=person_ids))


@pytest.mark.parametrize('figures', golden_figures('eval_cuhk*.json'))
def test_figures(
    figures: Figures, predictions: Callable[[int], Predictions], cuhk_sysu_root: Path
) -> None:
    if check_detection(figures, predictions(figures.seed)):
        return
    options = search_options(figures.name)
    assert not options['cross_camera']
    assert options['gallery_size'] is not None
    protocol = dict(
        type='mmps.cuhk_sysu_protocol',
        data_root=str(cuhk_sysu_root),
        gallery_size=options['gallery_size'],
    )
    search = Search(protocol=protocol, cbgm=CBGM if options['cbgm'] else None)
    check_search(figures, predictions(figures.seed), search)


def test_counts(dataset: CUHKSYSUDataset) -> None:
    arrays = arrays_of(dataset)
    assert len(arrays['image_names']) == 6978
    # A query's identity is its place in the protocol.
    assert arrays['query_pids'].tolist() == list(range(2900))
