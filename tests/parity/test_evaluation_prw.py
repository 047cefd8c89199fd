"""The figures of the published evaluation code on PRW's real annotations, at full size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from evaluation_cases import Figures, arrays_of, check_figures, golden_figures, simulations

from mmps.datasets import PRWDataset
from mmps.evaluation import Predictions
from mmps.evaluation.functional import Search


@pytest.fixture(scope='module')
def dataset(prw_root: Path) -> PRWDataset:
    return PRWDataset(str(prw_root), 'gallery', check_frames=False, test_mode=True)


@pytest.fixture(scope='module')
def predictions(dataset: PRWDataset, fixtures: Any) -> Callable[[int], Predictions]:
    return simulations(dataset, fixtures, dataset.metainfo['person_ids'])


def make_search(options: dict[str, Any]) -> Search:
    assert options['gallery_size'] is None
    return Search(
        protocol=dict(type='mmps.prw_protocol', cross_camera=options['cross_camera']),
        cbgm=dict(k1=30, k2=4) if options['cbgm'] else None,
    )


@pytest.mark.parametrize('figures', golden_figures('eval_prw*.json'))
def test_figures(figures: Figures, predictions: Callable[[int], Predictions]) -> None:
    check_figures(figures, predictions(figures.seed), make_search)


def test_counts(dataset: PRWDataset) -> None:
    arrays = arrays_of(dataset)
    assert len(arrays['image_names']) == 6112
    assert len(arrays['gt_bboxes']) == 25062
    assert len(arrays['query_bboxes']) == 2057
