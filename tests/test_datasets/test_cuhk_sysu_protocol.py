from pathlib import Path

import numpy as np
import pytest
import torch
from cuhk_sysu_folder import QUERIES, QUERIES_100, SUBSET, TRAIN_TEST, search_mat
from mmengine.config import Config
from mmengine.registry import METRICS
from scipy.io import savemat

from mmps.datasets import CUHKSYSUDataset
from mmps.evaluation import Predictions, evaluate_search, make_searches, search_predictions
from mmps.evaluation.dataset_arrays import dataset_arrays
from mmps.evaluation.protocols import cuhk_sysu_protocol
from mmps.registry import PROTOCOLS

CONFIG = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets' / 'cuhk-sysu.py'
S5, S3, S7, S6 = range(4)  # the order of the pool
TARGETS = [[1, 1, 13, 25], [20, 5, 30, 25], [8, 8, 20, 32]]


def predictions_of(root, subset: str | None = None, **changes) -> Predictions:
    """Every annotated person detected and told from all others."""
    dataset = CUHKSYSUDataset(str(root), 'gallery', subset=subset, serialize_data=False)
    arrays = dataset_arrays(dataset.data_list)
    pids, image = arrays['gt_pids'], arrays['gt_image']
    # One axis for each identity, and one for each person without.
    axis = np.where(pids >= 0, pids, dataset.num_persons + np.arange(len(pids)))
    embeddings = np.eye(dataset.num_persons + len(pids), dtype=np.float32)
    arrays.update(
        image_sizes=np.zeros((len(dataset), 2), np.int64),
        det_image=image,
        det_bboxes=arrays['gt_bboxes'],
        det_scores=np.ones(len(pids), np.float32),
        det_embeddings=embeddings[axis],
        gt_embeddings=np.zeros((len(pids), 0), np.float32),
        query_embeddings=embeddings[arrays['query_pids']],
    )
    return Predictions(**{**arrays, **changes})


def galleries(protocol) -> list[list[int]]:
    return [
        part.tolist() for part in np.split(protocol.gallery_images, protocol.gallery_indptr[1:-1])
    ]


def search(predictions: Predictions, protocol):
    return evaluate_search(
        predictions.query_embeddings,
        predictions.det_embeddings,
        det_image=predictions.det_image,
        det_bboxes=predictions.det_bboxes,
        det_scores=predictions.det_scores,
        protocol=protocol,
    )


def test_lists_and_targets_of_the_file(cuhk_sysu_root):
    predictions = predictions_of(cuhk_sysu_root)
    protocol = cuhk_sysu_protocol(predictions, data_root=cuhk_sysu_root, gallery_size=50)
    assert protocol.num_images == 4
    assert galleries(protocol) == [[S7, S3, S6], [S6, S5]]
    assert protocol.own_image.tolist() == [S5, S3]
    assert protocol.target_image.tolist() == [S7, S3, S6]
    assert protocol.target_bboxes.tolist() == TARGETS
    assert protocol.target_indptr.tolist() == [0, 2, 3]
    assert protocol.target_indices.tolist() == [0, 1, 2]
    assert protocol.num_to_find.tolist() == [2, 1]
    assert protocol.queries is None
    assert not protocol.full_set
    assert search(predictions, protocol).summary() == {'mAP': 1, 'top1': 1, 'top5': 1, 'top10': 1}


def test_galleries_of_100_are_the_default(cuhk_sysu_root):
    protocol = cuhk_sysu_protocol(predictions_of(cuhk_sysu_root), data_root=str(cuhk_sysu_root))
    assert galleries(protocol) == [[S7, S3, S6], [S6, S5, S7]]


def test_full_set(cuhk_sysu_root):
    predictions = predictions_of(cuhk_sysu_root)
    protocol = cuhk_sysu_protocol(predictions, data_root=cuhk_sysu_root, gallery_size=-1)
    assert protocol.full_set
    assert galleries(protocol) == [[S7, S3, S6], [S6, S5]]
    assert protocol.gallery_of(0).tolist() == [S3, S7, S6]
    assert protocol.gallery_of(1).tolist() == [S5, S7, S6]


def test_images_are_found_by_name(cuhk_sysu_root):
    predictions = predictions_of(cuhk_sysu_root)
    # The images of the predictions in another order, with one that the data set does not have.
    order = np.array([3, 1, 0, 2])
    names = np.append(predictions.image_names[order], 'other.jpg')
    place = np.argsort(order)
    changed = predictions_of(
        cuhk_sysu_root,
        image_names=names,
        image_paths=names,
        camera_ids=np.zeros(5, np.int64),
        sequence_ids=np.full(5, -1),
        image_sizes=np.zeros((5, 2), np.int64),
        **{
            key: place[getattr(predictions, key)]
            for key in ('det_image', 'gt_image', 'query_image')
        },
    )
    protocol = cuhk_sysu_protocol(changed, data_root=cuhk_sysu_root, gallery_size=50)
    assert [names[list(images)].tolist() for images in galleries(protocol)] == [
        ['s7.jpg', 's3.jpg', 's6.jpg'],
        ['s6.jpg', 's5.jpg'],
    ]
    assert names[protocol.own_image].tolist() == ['s5.jpg', 's3.jpg']
    assert search(changed, protocol).ap.tolist() == [1, 1]


def test_queries_are_found_by_image_and_box(cuhk_sysu_root):
    predictions = predictions_of(cuhk_sysu_root)
    # The other order, one query more in between, and boxes as they come back from a resized image.
    order = np.array([1, 0, 0])
    boxes = predictions.query_bboxes[order] + np.array([[0.4], [5], [-0.3]], np.float32)
    changed = predictions_of(
        cuhk_sysu_root,
        query_image=predictions.query_image[order],
        query_bboxes=boxes,
        query_pids=predictions.query_pids[order],
        query_ids=np.arange(3),
        query_embeddings=predictions.query_embeddings[order],
    )
    protocol = cuhk_sysu_protocol(changed, data_root=cuhk_sysu_root, gallery_size=50)
    assert protocol.queries.tolist() == [2, 0]
    assert search(changed, protocol).ap.tolist() == [1, 1]


def test_a_subset_with_some_of_the_queries(cuhk_sysu_root):
    predictions = predictions_of(cuhk_sysu_root)
    protocol = cuhk_sysu_protocol(predictions, data_root=cuhk_sysu_root, subset='Occlusion')
    assert protocol.queries.tolist() == [1]
    assert galleries(protocol) == [[S6, S7]]
    assert protocol.target_bboxes.tolist() == TARGETS[2:]
    assert search(predictions, protocol).summary()['mAP'] == 1


def test_a_subset_with_queries_of_its_own(cuhk_sysu_root):
    with pytest.raises(
        ValueError,
        match=r"Resolution.mat: query 1 of 'Test_Size' \(s7.jpg, x1, y1, x2, y2 = "
        r'\[1.0, 1.0, 13.0, 25.0\]\) is not among the 2 queries .* with the same subset',
    ):
        cuhk_sysu_protocol(
            predictions_of(cuhk_sysu_root), data_root=cuhk_sysu_root, subset='Resolution'
        )
    predictions = predictions_of(cuhk_sysu_root, subset='Resolution')
    protocol = cuhk_sysu_protocol(predictions, data_root=cuhk_sysu_root, subset='Resolution')
    assert protocol.queries is None
    assert search(predictions, protocol).summary()['top1'] == 1


def test_oddities_of_the_published_files(cuhk_sysu_root):
    gallery = [
        ('s5.jpg', [30, 6, 12, 24]),  # the query's own image
        ('s7.jpg', [1, 1, 12, 24]),
        ('s7.jpg', [2, 2, 12, 24]),  # again
        ('s6.jpg', None),
    ]
    queries = [('p20', 's5.jpg', [6, 6, 12, 24], gallery), QUERIES[1]]
    savemat(cuhk_sysu_root / TRAIN_TEST / 'TestG100.mat', search_mat('TestG100', queries))
    predictions = predictions_of(cuhk_sysu_root)
    protocol = cuhk_sysu_protocol(predictions, data_root=cuhk_sysu_root)
    assert galleries(protocol)[0] == [S5, S7, S6]
    assert protocol.gallery_of(0).tolist() == [S5, S7, S6]
    assert protocol.num_to_find.tolist() == [3, 1]
    result = search(predictions, protocol)
    # In s5 its second person counts as the target, who looks like nobody: found after the query's
    # own box and the target in s7, together with all others. In s7 it was two to find.
    assert result.num_found[0] == 2
    assert result.ap[0] == pytest.approx((1 / 2 + 2 / 4) / 3)


def test_config_names_the_searches(cuhk_sysu_root):
    assert PROTOCOLS.get('mmps.cuhk_sysu_protocol') is cuhk_sysu_protocol
    config = Config.fromfile(CONFIG)
    (validated,) = make_searches(config.val_evaluator.searches).values()
    searches = make_searches(config.test_evaluator.searches)
    sizes = {name: search.protocol['gallery_size'] for name, search in searches.items()}
    assert sizes == {
        'search': 100,
        'search_50': 50,
        'search_500': 500,
        'search_1000': 1000,
        'search_2000': 2000,
        'search_4000': 4000,
        'search_full': -1,
    }
    assert validated == searches['search']
    predictions = predictions_of(cuhk_sysu_root)
    for name in ('search', 'search_50', 'search_full'):
        result = search_predictions(predictions, searches[name])
        # In the full set every listed detection also ranks as a wrong one of the same similarity.
        assert result.ap.tolist() == ([0.5, 0.5] if name == 'search_full' else [1, 1])


def test_metric_reports_every_search(cuhk_sysu_root):
    searches = Config.fromfile(CONFIG).test_evaluator.searches
    for name in list(searches):
        if name not in ('search', 'search_50'):
            del searches[name]
    metric = METRICS.build({'type': 'mmps.PersonSearchMetric', 'searches': searches})
    dataset = CUHKSYSUDataset(str(cuhk_sysu_root), 'gallery', serialize_data=False)
    for item in dataset.data_list:
        boxes = torch.tensor([person['bbox'] for person in item['instances']])
        pids = torch.tensor([person['pid'] for person in item['instances']])
        queries = [query['pid'] for query in item['queries']]
        persons = {'bboxes': boxes, 'pids': pids}
        # Persons without identity look like the second query.
        found = {'scores': torch.ones(len(pids)), 'embeddings': torch.eye(2)[pids]}
        metric.process(
            {},
            [
                {
                    **{key: item[key] for key in ('img_id', 'img_name', 'img_path', 'camera_id')},
                    'ori_shape': (48, 64),
                    'gt_instances': persons,
                    'pred_instances': {'bboxes': boxes, **found},
                    'query_instances': {
                        'bboxes': torch.tensor([query['bbox'] for query in item['queries']]),
                        'pids': torch.tensor(queries, dtype=torch.int64),
                        'query_ids': torch.tensor(queries, dtype=torch.int64),
                        'embeddings': torch.eye(2)[queries],
                    },
                }
            ],
        )
    figures = metric.evaluate(4)
    assert figures['det/AP'] == 1
    # The second query's target and one person without identity are alike.
    assert figures['search_50/mAP'] == pytest.approx((1 + 1 / 2) / 2)
    assert figures['search/mAP'] == pytest.approx((1 + 1 / 2) / 2)


# --- what is wrong is said


def test_image_that_the_predictions_lack(cuhk_sysu_root):
    predictions = predictions_of(cuhk_sysu_root)
    names = predictions.image_names.copy()
    names[[S7, S6]] = ['a.jpg', 'b.jpg']
    with pytest.raises(
        ValueError,
        match=r'TestG100.mat: 2 of 4 images are not among the 4 of the predictions: '
        r's7.jpg; s6.jpg; the protocol needs',
    ):
        cuhk_sysu_protocol(
            predictions_of(cuhk_sysu_root, image_names=names), data_root=cuhk_sysu_root
        )


def test_query_that_the_predictions_lack(cuhk_sysu_root):
    boxes = predictions_of(cuhk_sysu_root).query_bboxes.copy()
    boxes[1, 2] += 1
    with pytest.raises(ValueError, match=r"TestG100.mat: query 2 of 'TestG100' \(s3.jpg, .*2 quer"):
        cuhk_sysu_protocol(
            predictions_of(cuhk_sysu_root, query_bboxes=boxes), data_root=cuhk_sysu_root
        )


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'gallery_size': 200}, 'must be one of 50, 100, 500, 1000, 2000, 4000 or -1, not 200'),
        ({'subset': 'Dark'}, "subset must be one of Occlusion, Resolution or None, not 'Dark'"),
        ({'subset': 'Occlusion', 'gallery_size': 50}, 'Occlusion have 100 images.*not 50'),
        ({'subset': 'Occlusion', 'gallery_size': -1}, 'Occlusion have 100 images.*not -1'),
    ],
)
def test_senseless_settings(cuhk_sysu_root, settings, message):
    with pytest.raises(ValueError, match=message):
        cuhk_sysu_protocol(predictions_of(cuhk_sysu_root), data_root=cuhk_sysu_root, **settings)


def test_missing_files(cuhk_sysu_root, tmp_path):
    predictions = predictions_of(cuhk_sysu_root)
    for settings, file in (
        ({'gallery_size': 4000}, TRAIN_TEST / 'TestG4000.mat'),
        ({'subset': 'Occlusion'}, SUBSET / 'Occlusion.mat'),
    ):
        (cuhk_sysu_root / file).unlink(missing_ok=True)
        with pytest.raises(FileNotFoundError, match=f'has no {file}. CUHK-SYSU is given out'):
            cuhk_sysu_protocol(predictions, data_root=cuhk_sysu_root, **settings)
    with pytest.raises(FileNotFoundError, match=r'nowhere.* is not a folder'):
        cuhk_sysu_protocol(predictions, data_root=tmp_path / 'nowhere')


def test_folder_of_the_images(cuhk_sysu_root):
    predictions = predictions_of(cuhk_sysu_root)
    protocol = cuhk_sysu_protocol(predictions, gallery_size=50)
    given = cuhk_sysu_protocol(predictions, data_root=cuhk_sysu_root, gallery_size=50)
    assert galleries(protocol) == galleries(given)
    moved = [path.replace(str(cuhk_sysu_root), 'nowhere') for path in predictions.image_paths]
    with pytest.raises(FileNotFoundError, match=r"data_root='nowhere' is not a folder"):
        cuhk_sysu_protocol(predictions_of(cuhk_sysu_root, image_paths=np.array(moved)))
    moved[0] = 'elsewhere/s5.jpg'
    with pytest.raises(ValueError, match='not in Image/SSM of a folder of CUHK-SYSU: give mmps'):
        cuhk_sysu_protocol(predictions_of(cuhk_sysu_root, image_paths=np.array(moved)))


def test_test_file_cut_short(cuhk_sysu_root):
    predictions = predictions_of(cuhk_sysu_root)
    path = cuhk_sysu_root / TRAIN_TEST / 'TestG100.mat'
    savemat(path, search_mat('TestG100', QUERIES_100))
    whole = path.read_bytes()
    for length in range(0, len(whole), 64):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r'TestG100.mat: '):
            cuhk_sysu_protocol(predictions, data_root=cuhk_sysu_root)
