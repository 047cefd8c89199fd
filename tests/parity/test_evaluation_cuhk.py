"""The figures of the published evaluation code on CUHK-SYSU's real protocol, at full size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from evaluation_cases import Figures, arrays_of, check_figures, golden_figures, simulations

from mmps.datasets import CUHKSYSUDataset
from mmps.evaluation import Predictions
from mmps.evaluation.functional import Search


@pytest.fixture(scope='module')
def dataset(cuhk_sysu_root: Path) -> CUHKSYSUDataset:
    return CUHKSYSUDataset(str(cuhk_sysu_root), 'gallery', check_frames=False, test_mode=True)


@pytest.fixture(scope='module')
def predictions(dataset: CUHKSYSUDataset, fixtures: Any) -> Callable[[int], Predictions]:
    # A person's place in the protocol, from 1.
    return simulations(dataset, fixtures, range(1, 1 + dataset.num_persons))


def make_search(options: dict[str, Any]) -> Search:
    assert not options['cross_camera']
    assert options['gallery_size'] is not None
    return Search(
        protocol=dict(type='mmps.cuhk_sysu_protocol', gallery_size=options['gallery_size']),
        cbgm=dict(k1=10, k2=3) if options['cbgm'] else None,
    )


@pytest.mark.parametrize('figures', golden_figures('eval_cuhk*.json'))
def test_figures(figures: Figures, predictions: Callable[[int], Predictions]) -> None:
    check_figures(figures, predictions(figures.seed), make_search)


def test_counts(dataset: CUHKSYSUDataset) -> None:
    arrays = arrays_of(dataset)
    assert len(arrays['image_names']) == 6978
    # A query's identity is its place in the protocol.
    assert arrays['query_pids'].tolist() == list(range(2900))
