"""What the checks of evaluation at full size share: which figures there are, inputs, comparison."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from references import PARITY

from mmps.datasets.person_search_dataset import PersonSearchDataset
from mmps.evaluation import Predictions, evaluate_detection, search_predictions
from mmps.evaluation.dataset_arrays import dataset_arrays
from mmps.evaluation.functional import Search

UNLABELLED = 5555  # what the references call a person without identity
TOLERANCE = 1e-6

_SEARCH = re.compile(
    r'search(?P<cbgm>_cbgm)?(?P<cross_camera>_cross_camera)?(?:_gallery(?P<gallery_size>-?\d+))?'
)


@dataclass(frozen=True)
class Figures:
    """One entry of a reference's ``results``: a name and its figures."""

    name: str
    values: Mapping[str, float]
    seed: int


def golden_figures(pattern: str) -> list[Any]:
    """Every entry of the references that match a pattern, as parameters of a test.

    Where there are no such references the one parameter is skipped with the reason.
    """
    folder = PARITY / 'golden'
    params = []
    for path in sorted(folder.glob(pattern)):
        info = json.loads(path.read_text())
        for name, values in info['results'].items():
            values = {key: value for key, value in values.items() if key != 'reference_seconds'}
            figures = Figures(name, values, info['seed'])
            params.append(pytest.param(figures, id=f'{path.stem}-{name}'))
    reason = f'no {pattern} in {folder} (set MMPS_PARITY)'
    return params or [pytest.param(None, id='none', marks=pytest.mark.skip(reason))]


def arrays_of(dataset: PersonSearchDataset) -> dict[str, np.ndarray]:
    """What the data set alone gives of predictions."""
    return dataset_arrays([dataset.get_data_info(index) for index in range(len(dataset))])


def simulate(
    dataset: PersonSearchDataset, fixtures: Any, seed: int, *, person_ids: Sequence[int]
) -> Predictions:
    """The detections and embeddings that the references were computed on.

    Args:
        dataset: the gallery.
        fixtures: of the references.
        seed: of the simulation.
        person_ids: what the simulation calls each identity.
    """
    arrays = arrays_of(dataset)
    num_images = len(arrays['image_names'])
    ends = np.searchsorted(arrays['gt_image'], np.arange(1, num_images))
    original = np.array([*person_ids, UNLABELLED])  # the last also for -1
    gallery = zip(
        arrays['image_names'],
        np.split(arrays['gt_bboxes'], ends),
        np.split(original[arrays['gt_pids']], ends),
        strict=True,
    )
    simulated = list(fixtures.simulate_detections(gallery, seed=seed))
    dets = np.concatenate([det for det, _ in simulated])
    query_embeddings = [
        fixtures.simulate_query_embedding(original[pid], arrays['image_names'][image], seed=seed)
        for pid, image in zip(arrays['query_pids'], arrays['query_image'], strict=True)
    ]
    return Predictions(
        **arrays,
        image_sizes=np.zeros((num_images, 2), np.int64),
        det_image=np.repeat(np.arange(num_images), [len(det) for det, _ in simulated]),
        det_bboxes=dets[:, :4],
        det_scores=dets[:, 4],
        det_embeddings=np.concatenate([embeddings for _, embeddings in simulated]),
        gt_embeddings=np.zeros((len(arrays['gt_image']), 0), np.float32),
        query_embeddings=np.stack(query_embeddings),
    )


def simulations(
    dataset: PersonSearchDataset, fixtures: Any, person_ids: Sequence[int]
) -> Callable[[int], Predictions]:
    """What :func:`simulate` gives, by seed; each is made once."""
    return cache(lambda seed: simulate(dataset, fixtures, seed, person_ids=person_ids))


def check_figures(
    figures: Figures, predictions: Predictions, make_search: Callable[[dict[str, Any]], Search]
) -> None:
    """Compare the figures of an entry, of detection or of the search that its name says."""
    if figures.name in ('detection', 'detection_labeled'):
        _check_detection(figures, predictions)
        return
    search = make_search(search_options(figures.name))
    _compare(search_predictions(predictions, search).summary(), figures.values)


def _check_detection(figures: Figures, predictions: Predictions) -> None:
    result = evaluate_detection(
        predictions.det_scores,
        predictions.det_bboxes,
        det_image=predictions.det_image,
        gt_image=predictions.gt_image,
        gt_bboxes=predictions.gt_bboxes,
        gt_pids=predictions.gt_pids,
        num_images=predictions.num_images,
        labelled_only=figures.name == 'detection_labeled',
    )
    _compare({'recall': result['recall'], 'ap': result['AP']}, figures.values)


def search_options(name: str) -> dict[str, Any]:
    """What the name of a search entry says; an unknown name fails the test."""
    match = _SEARCH.fullmatch(name)
    if match is None:
        pytest.fail(f'the reference has the entry {name!r}, which no test here knows')
    size = match['gallery_size']
    return {
        'cbgm': match['cbgm'] is not None,
        'cross_camera': match['cross_camera'] is not None,
        'gallery_size': None if size is None else int(size),
    }


def _compare(got: Mapping[str, float], want: Mapping[str, float]) -> None:
    assert got.keys() == want.keys()
    for key, value in want.items():
        assert got[key] == pytest.approx(value, abs=TOLERANCE, rel=0), key
