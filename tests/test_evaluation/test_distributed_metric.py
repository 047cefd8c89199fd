"""Two processes that share the images report what one does that sees them all."""

import json
from pathlib import Path
from typing import Any

import mmengine.evaluator.metric
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.evaluator import Evaluator

from mmps.evaluation import PersonSearchMetric, Predictions
from mmps.evaluation.metrics import gather
from mmps.evaluation.predictions import ARRAYS

NUM_IMAGES, DIM = 9, 8
SEARCHES = dict(search={}, search_cbgm=dict(cbgm=dict(k1=5, k2=2)))
REID = dict(SEARCHES, reid=dict(gallery='ground_truth'))
# Which images each process sees, in which order.
SHARES = {
    'alternating': [[0, 2, 4, 6, 8], [1, 3, 5, 7, 0]],  # as MMEngine's sampler pads it
    'uneven': [[8, 3, 1], [0, 2, 4, 5, 6, 7]],
    'second_empty': [list(range(NUM_IMAGES)), []],
    'first_empty': [[], list(range(NUM_IMAGES))],
    'nobody_in_second': [[1, 2, 3, 4, 5, 6, 7, 8], [0]],
    'all_twice': [list(range(NUM_IMAGES)), list(range(NUM_IMAGES))],
}


def make_sample(number: int, *, with_gt: bool) -> dict[str, Any]:
    """An image with up to five detections, three persons and two queries; image 0 has nobody."""
    rng = np.random.default_rng(number)
    persons = 0 if number == 0 else 3
    detections = 0 if number == 0 else int(rng.integers(3, 6))
    corners = rng.integers(0, 100, (detections + persons, 2))
    bboxes = torch.tensor(np.hstack([corners, corners + 40]), dtype=torch.float32)
    bboxes[:persons] = bboxes[detections:]
    pids = torch.arange(persons) + number % 2
    pids[2:] = -1
    queries = pids[: number % 3] if persons else pids

    def embeddings(num: int) -> torch.Tensor:
        values = torch.tensor(rng.normal(size=(num, DIM)), dtype=torch.float32)
        return torch.nn.functional.normalize(values)

    sample = {
        'img_id': number * 10,
        'img_name': f'{"é" * number}\udcff_{number}.jpg',
        'img_path': f'frames/é/{number}.jpg',
        'camera_id': number % 3,
        'sequence_id': number // 4,
        'ori_shape': (200 + number, 300),
        'pred_instances': {
            'bboxes': bboxes[:detections],
            'scores': torch.tensor(rng.uniform(0.5, 1, detections), dtype=torch.float32),
            'embeddings': embeddings(detections),
        },
        'gt_instances': {'bboxes': bboxes[detections:], 'pids': pids},
        'query_instances': {
            'bboxes': bboxes[detections : detections + len(queries)],
            'pids': queries,
            'query_ids': torch.arange(len(queries)) + 100 - 2 * number,
            'embeddings': embeddings(len(queries)),
        },
    }
    if with_gt:
        sample['gt_instances']['embeddings'] = embeddings(persons)
    return sample


def evaluate(images: list[int], dump: Path, *, with_gt: bool) -> dict[str, float]:
    metric = PersonSearchMetric(searches=REID if with_gt else SEARCHES, dump=dump)
    evaluator = Evaluator(metric)
    for number in images:
        evaluator.process([make_sample(number, with_gt=with_gt)])
    return evaluator.evaluate(NUM_IMAGES)


def run_process(rank: int, folder: str) -> None:
    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError('results were pickled')

    mmengine.evaluator.metric.collect_results = never
    gather._PIECE_BYTES = 24  # so that most arrays travel in several pieces
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    for name, shares in SHARES.items():
        with_gt = name != 'uneven'
        figures = evaluate(shares[rank], Path(folder, f'{name}.npz'), with_gt=with_gt)
        Path(folder, f'{name}_{rank}.json').write_text(json.dumps(figures))
    dist.destroy_process_group()


@pytest.fixture(scope='module')
def processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of what two processes have written."""
    folder = tmp_path_factory.mktemp('processes')
    # Forked: to import everything anew in each process would take most of the time.
    mp.start_processes(run_process, (str(folder),), nprocs=2, start_method='fork')
    return folder


@pytest.mark.parametrize('name', SHARES)
def test_two_processes_report_what_one_does(processes: Path, tmp_path: Path, name: str) -> None:
    with_gt = name != 'uneven'
    expected = evaluate(list(range(NUM_IMAGES)), tmp_path / 'one.npz', with_gt=with_gt)
    assert 0 < expected['search/mAP'] < 1
    assert 0 < expected['det/AP'] < 1
    assert ('reid/mAP' in expected) == with_gt
    for rank in range(2):
        assert json.loads((processes / f'{name}_{rank}.json').read_text()) == expected
    one = Predictions.load(tmp_path / 'one.npz')
    two = Predictions.load(processes / f'{name}.npz')
    assert one.num_images == NUM_IMAGES
    assert one.num_queries == 9
    assert one.gt_embeddings.shape == (24, DIM if with_gt else 0)
    for array in ARRAYS:
        np.testing.assert_array_equal(getattr(two, array), getattr(one, array), err_msg=array)
