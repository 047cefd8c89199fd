"""The figures of the published evaluation code on PRW's real annotations, at full size."""

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

from mmps.datasets import PRWDataset
from mmps.evaluation import Predictions
from mmps.evaluation.functional import Search

CBGM = dict(k1=30, k2=4)


@pytest.fixture(scope='module')
def dataset(prw_root: Path) -> PRWDataset:
    return PRWDataset(str(prw_root), 'gallery', check_frames=False, test_mode=True)


@pytest.fixture(scope='module')
def predictions(dataset: PRWDataset, fixtures: Any) -> Callable[[int], Predictions]:
    """Simulated predictions by seed."""
    person_ids = dataset.metainfo['person_ids']
    return cache(lambda seed: simulate(dataset, fixtures, seed, person_ids=person_ids))


@pytest.mark.parametrize('figures', golden_figures('eval_prw*.json'))
def test_figures(figures: Figures, predictions: Callable[[int], Predictions]) -> None:
    if check_detection(figures, predictions(figures.seed)):
        return
    options = search_options(figures.name)
    assert options['gallery_size'] is None
    search = Search(
        protocol=dict(type='mmps.prw_protocol', cross_camera=options['cross_camera']),
        cbgm=CBGM if options['cbgm'] else None,
    )
    check_search(figures, predictions(figures.seed), search)


def test_counts(dataset: PRWDataset) -> None:
    arrays = arrays_of(dataset)
    assert len(arrays['image_names']) == 6112
    assert len(arrays['gt_bboxes']) == 25062
    assert len(arrays['query_bboxes']) == 2057
