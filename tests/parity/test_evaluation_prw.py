"""The figures of the published evaluation code on PRW's real annotations, at full size."""

import json
import tarfile

import numpy as np
import pytest
from references import DATA, PARITY

from mmps.datasets import PRWDataset
from mmps.evaluation import evaluate_detection, evaluate_search, identity_protocol

GOLDEN, ARCHIVE = PARITY / 'golden' / 'eval_prw.json', DATA / 'prw_annotations.tar.xz'
UNLABELLED = 5555  # what the reference calls a person without identity

pytestmark = pytest.mark.skipif(
    not (GOLDEN.is_file() and ARCHIVE.is_file()),
    reason=f'needs {GOLDEN} and {ARCHIVE} (set MMPS_PARITY, MMPS_SHARED_DATA)',
)


@pytest.fixture(scope='module')
def golden():
    return json.loads(GOLDEN.read_text())


@pytest.fixture(scope='module')
def case(golden, fixtures, tmp_path_factory):
    """Annotations, simulated detections and queries, as arrays."""
    folder = tmp_path_factory.mktemp('prw')
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter='data')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(folder / 'cache'))
        dataset = PRWDataset(
            str(folder / 'PRW-v16.04.20'), 'gallery', check_frames=False, serialize_data=False
        )
        items = dataset.data_list
    # The simulation names a person by the identity of the files.
    original = np.array([*dataset.metainfo['person_ids'], UNLABELLED])
    gallery = []
    for item in items:
        boxes = np.array([person['bbox'] for person in item['instances']]).reshape(-1, 4)
        pids = np.array([person['pid'] for person in item['instances']], np.int64)
        gallery.append((item['img_name'], boxes, original[pids]))
    seed = golden['seed']
    simulated = list(fixtures.simulate_detections(gallery, seed=seed))
    queries = sorted(
        ((query, item) for item in items for query in item['queries']),
        key=lambda pair: pair[0]['query_id'],
    )
    index = np.arange(len(items))
    dets = np.concatenate([det for det, _ in simulated])
    pids = np.concatenate([pids for *_, pids in gallery])
    return {
        'camera_ids': np.array([item['camera_id'] for item in items]),
        'det_image': np.repeat(index, [len(det) for det, _ in simulated]),
        'det_bboxes': dets[:, :4],
        'det_scores': dets[:, 4],
        'det_embeddings': np.concatenate([embeddings for _, embeddings in simulated]),
        'gt_image': np.repeat(index, [len(boxes) for _, boxes, _ in gallery]),
        'gt_bboxes': np.concatenate([boxes for _, boxes, _ in gallery]).astype(np.float32),
        'gt_pids': np.where(pids == UNLABELLED, -1, pids),
        'query_image': np.array([item['img_id'] for _, item in queries]),
        'query_pids': original[[query['pid'] for query, _ in queries]],
        'query_embeddings': np.stack(
            [
                fixtures.simulate_query_embedding(
                    original[query['pid']], item['img_name'], seed=seed
                )
                for query, item in queries
            ]
        ),
    }


@pytest.mark.parametrize(
    ('name', 'cross_camera'), [('search', False), ('search_cross_camera', True)]
)
def test_search(case, golden, name, cross_camera):
    protocol = identity_protocol(
        case['gt_image'],
        case['gt_bboxes'],
        gt_pids=case['gt_pids'],
        query_image=case['query_image'],
        query_pids=case['query_pids'],
        num_images=len(case['camera_ids']),
        image_group=case['camera_ids'] if cross_camera else None,
    )
    result = evaluate_search(
        case['query_embeddings'],
        case['det_embeddings'],
        det_image=case['det_image'],
        det_bboxes=case['det_bboxes'],
        det_scores=case['det_scores'],
        protocol=protocol,
    )
    for key, value in result.summary().items():
        assert value == pytest.approx(golden['results'][name][key], abs=1e-6, rel=0), key


@pytest.mark.parametrize(
    ('name', 'labelled_only'), [('detection', False), ('detection_labeled', True)]
)
def test_detection(case, golden, name, labelled_only):
    result = evaluate_detection(
        case['det_scores'],
        case['det_bboxes'],
        det_image=case['det_image'],
        gt_image=case['gt_image'],
        gt_bboxes=case['gt_bboxes'],
        gt_pids=case['gt_pids'],
        num_images=len(case['camera_ids']),
        labelled_only=labelled_only,
    )
    expected = golden['results'][name]
    assert result['recall'] == pytest.approx(expected['recall'], abs=1e-6, rel=0)
    assert result['AP'] == pytest.approx(expected['ap'], abs=1e-6, rel=0)
