import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

import mmps
from mmps.evaluation import (
    PersonSearchMetric,
    Predictions,
    evaluate_predictions,
    recorded_settings,
)
from mmps.evaluation.metrics import metric_settings
from mmps.registry import METRICS

BOX, OTHER = (0.0, 0.0, 50.0, 100.0), (200.0, 0.0, 250.0, 100.0)
# Queries of identity 7 on image 2 (id 0) and of identity 5 on image 0 (id 1).
IMAGES = [
    {
        'dets': [(BOX, 0.9, (1.0, 0.0)), (OTHER, 0.8, (0.0, 1.0))],
        'gts': [(BOX, 7), (OTHER, 5)],
        'queries': [(OTHER, 5, 1, (0.0, 1.0))],
    },
    {
        'dets': [(BOX, 0.6, (1.0, 0.0)), (OTHER, 1.0, (0.8, 0.6))],
        'gts': [(BOX, 7), (OTHER, -1)],
        'queries': [],
    },
    {
        'dets': [(OTHER, 0.7, (0.6, 0.8))],
        'gts': [(BOX, 7), (OTHER, 5)],
        'queries': [(BOX, 7, 0, (1.0, 0.0))],
    },
]
# Query 0 (pid 7): .9 right, .8 wrong, .6 right, 0 wrong: (1 + 2/3) / 2.
# Query 1 (pid 5): .6 wrong, .56 right, 0 wrong: 1/2.
# Detection: five detections, all right, of six persons.
EXPECTED = {
    'det/recall': 5 / 6,
    'det/AP': 5 / 6,
    'search/mAP': (5 / 6 + 1 / 2) / 2,
    'search/top1': 0.5,
    'search/top5': 1.0,
    'search/top10': 1.0,
}


def make_sample(number, image, dtype=torch.float32):
    sample = DetDataSample(
        metainfo={
            'img_id': number,
            'img_name': f'c{number % 2}_{number}.jpg',
            'img_path': f'frames/c{number % 2}_{number}.jpg',
            'camera_id': number % 2,
            'ori_shape': (480, 640),
        }
    )
    dets, gts, queries = image['dets'], image['gts'], image['queries']
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([d[0] for d in dets]).reshape(-1, 4),
        scores=torch.tensor([d[1] for d in dets]),
        labels=torch.zeros(len(dets), dtype=torch.long),
        embeddings=torch.tensor([d[2] for d in dets], dtype=dtype).reshape(-1, 2),
    )
    sample.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(torch.tensor([g[0] for g in gts]).reshape(-1, 4)),
        labels=torch.zeros(len(gts), dtype=torch.long),
        pids=torch.tensor([g[1] for g in gts], dtype=torch.long),
    )
    sample.query_instances = InstanceData(
        bboxes=torch.tensor([q[0] for q in queries]).reshape(-1, 4),
        pids=torch.tensor([q[1] for q in queries], dtype=torch.long),
        query_ids=torch.tensor([q[2] for q in queries], dtype=torch.long),
    )
    if queries:
        sample.query_instances.embeddings = torch.tensor([q[3] for q in queries], dtype=dtype)
    return sample


def evaluate(images, size=None, **kwargs):
    metric = METRICS.build({'type': 'mmps.PersonSearchMetric', **kwargs})
    evaluator = Evaluator(metric)
    samples = [make_sample(n, image) for n, image in enumerate(images)]
    evaluator.process(samples[:2])
    evaluator.process(samples[2:])
    return evaluator.evaluate(size or len(samples)), metric


def test_figures():
    metrics, metric = evaluate(IMAGES)
    assert metrics == pytest.approx(EXPECTED)
    assert list(metrics) == list(EXPECTED)
    assert metric.predictions.query_ids.tolist() == [0, 1]
    assert metric.predictions.query_image.tolist() == [2, 0]
    assert metric.predictions.image_paths[1] == 'frames/c1_1.jpg'


def test_data_samples_need_not_be_dicts():
    metric = PersonSearchMetric()
    metric.process(None, [make_sample(n, image) for n, image in enumerate(IMAGES)])
    assert metric.evaluate(3) == pytest.approx(EXPECTED)


def test_half_precision_embeddings():
    metric = PersonSearchMetric()
    samples = [make_sample(n, image, torch.bfloat16) for n, image in enumerate(IMAGES)]
    metric.process(None, samples)
    assert metric.evaluate(3) == pytest.approx(EXPECTED)
    assert metric.predictions.det_embeddings.dtype == np.float32


def test_images_given_twice_count_once():
    metric = PersonSearchMetric()
    samples = [make_sample(n, image) for n, image in enumerate(IMAGES)]
    metric.process(None, [*samples, samples[0]])
    assert metric.evaluate(4) == pytest.approx(EXPECTED)
    metric.process(None, [*samples, samples[0]])
    assert metric.evaluate(3) == pytest.approx(EXPECTED)


def test_other_cameras_and_prefix():
    cross = dict(protocol=dict(type='mmps.prw_protocol', cross_camera=True))
    searches = dict(search={}, search_cross_camera=cross)
    metrics, _ = evaluate(IMAGES, searches=searches, topk=(1,), prefix='prw')
    # images 0 and 2 are of camera 0, image 1 of camera 1: only it is searched
    assert metrics['prw/search_cross_camera/mAP'] == pytest.approx((1 / 2 + 0) / 2)
    assert metrics['prw/search/top1'] == 0.5
    assert 'prw/search/top5' not in metrics


def test_annotated_boxes_are_searched_if_the_model_embeds_them():
    searches = dict(search={}, reid=dict(gallery='ground_truth'))
    with pytest.raises(ValueError, match=r'c0_0\.jpg.*embed_ground_truth=True'):
        evaluate(IMAGES, searches=searches)
    # Query 0 (pid 7, embedding (1, 0)), by similarity: (0, 7) 1, (1, -1) .96, (1, 7) .8,
    # (0, 5) .28: (1 + 2/3) / 2.
    # Query 1 (pid 5, embedding (0, 1)): (2, 5) .8, (1, 7) .6, (1, -1) .28, (2, 7) 0: 1.
    embeddings = [[(1.0, 0.0), (0.28, 0.96)], [(0.8, 0.6), (0.96, 0.28)], [(1.0, 0.0), (0.6, 0.8)]]
    metric = PersonSearchMetric(searches=searches)
    samples = [make_sample(n, image) for n, image in enumerate(IMAGES)]
    for sample, values in zip(samples, embeddings, strict=True):
        sample.gt_instances.embeddings = torch.tensor(values)
    metric.process(None, samples)
    metrics = metric.evaluate(3)
    assert metrics['reid/mAP'] == pytest.approx((5 / 6 + 1) / 2)
    assert metrics['reid/top1'] == 1.0
    assert {key: metrics[key] for key in EXPECTED} == pytest.approx(EXPECTED)
    np.testing.assert_array_equal(
        metric.predictions.gt_embeddings, np.array(embeddings, np.float32).reshape(6, 2)
    )


def test_annotated_embeddings_are_kept_whenever_there_are_any(tmp_path):
    sample = make_sample(0, IMAGES[0])
    sample.gt_instances.embeddings = torch.eye(2)
    empty = make_sample(1, {'dets': [], 'gts': [], 'queries': []})
    metric = PersonSearchMetric(dump=tmp_path / 'p.npz')
    metric.process(None, [sample, empty])
    metric.evaluate(2)
    loaded = Predictions.load(tmp_path / 'p.npz')
    np.testing.assert_array_equal(loaded.gt_embeddings, np.eye(2))


def test_sequences_and_cameras_reach_the_predictions():
    samples = [make_sample(n, image) for n, image in enumerate(IMAGES)]
    samples[1].set_metainfo({'sequence_id': 4})
    metric = PersonSearchMetric()
    metric.process(None, samples)
    metric.evaluate(3)
    assert metric.predictions.sequence_ids.tolist() == [-1, 4, -1]
    assert metric.predictions.camera_ids.tolist() == [0, 1, 0]


def test_no_warning_about_the_prefix(caplog):
    with caplog.at_level('WARNING'):
        evaluate(IMAGES)
    assert caplog.text == ''


def test_a_model_that_finds_nothing_gets_zero():
    metrics, _ = evaluate([{**image, 'dets': []} for image in IMAGES])
    assert metrics == dict.fromkeys(EXPECTED, 0.0)


def test_without_queries_only_detection(monkeypatch):
    warnings = []
    monkeypatch.setattr(
        'mmps.evaluation.functional.person_search.print_log',
        lambda message, **kwargs: warnings.append(message),
    )
    metrics, _ = evaluate([{**image, 'queries': []} for image in IMAGES])
    assert metrics == pytest.approx({'det/recall': 5 / 6, 'det/AP': 5 / 6})
    assert len(warnings) == 1
    assert 'No queries' in warnings[0]


@pytest.mark.parametrize(
    ('field', 'key', 'source'),
    [
        ('pred_instances', 'embeddings', 'mmps.PersonSearchDetector'),
        ('gt_instances', 'pids', 'mmps.LoadPersonSearchAnnotations'),
        ('query_instances', 'query_ids', 'mmps.PackPersonSearchInputs'),
        ('query_instances', 'embeddings', 'mmps.PersonSearchDetector'),
    ],
)
def test_a_missing_field_is_named_with_its_source(field, key, source):
    sample = make_sample(0, IMAGES[0])
    del getattr(sample, field)[key]
    with pytest.raises(ValueError, match=f'c0_0.jpg.*without {field}.{key}; .*{source}'):
        PersonSearchMetric().process(None, [sample])


def test_missing_instances_and_meta():
    sample = make_sample(0, IMAGES[0])
    del sample.query_instances
    with pytest.raises(ValueError, match=r'query_instances.*mmps\.PackPersonSearchInputs'):
        PersonSearchMetric().process(None, [sample])
    sample = make_sample(0, IMAGES[0])
    del sample.camera_id
    with pytest.raises(ValueError, match=r"meta key 'camera_id'.*meta_keys"):
        PersonSearchMetric().process(None, [sample])


def test_dump_says_how_and_of_what_it_was_evaluated(tmp_path):
    path = tmp_path / 'predictions.npz'
    searches = dict(search=dict(score_thr=0.65), cbgm=dict(cbgm=dict(k1=30, k2=4)))
    metrics, metric = evaluate(IMAGES, dump=path, searches=searches, meta=dict(model='m'))
    loaded = Predictions.load(path)
    assert loaded.meta['model'] == 'm'
    assert loaded.meta['mmps_version'] == mmps.__version__
    settings = recorded_settings(loaded)
    assert settings['searches'] == metric.searches
    assert settings['searches']['cbgm'].cbgm == {'k1': 30, 'k2': 4}
    assert evaluate_predictions(loaded, **settings) == metrics


def test_a_failing_search_loses_no_predictions(tmp_path):
    searches = dict(search=dict(protocol=dict(type='mmps.custom_protocol', exclude='sequence')))
    with pytest.raises(ValueError, match=r'search: 3 of 3 images have no sequence_id'):
        evaluate(IMAGES, dump=tmp_path / 'p.npz', searches=searches)
    assert Predictions.load(tmp_path / 'p.npz').num_images == 3


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(dump='out.pkl'), r'dump must be a \.npz'),
        (dict(meta=dict(a=object())), 'must be JSON'),
        (dict(searches=dict(search=dict(cwss=True))), "no setting 'cwss'"),
    ],
)
def test_wrong_settings_are_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        PersonSearchMetric(**arguments)


def test_metric_settings():
    settings = dict(type='mmps.PersonSearchMetric', topk=(1,))
    assert metric_settings(settings) is settings
    assert metric_settings([dict(type='CocoMetric'), settings]) is settings
    with pytest.raises(ValueError, match=r'no mmps\.PersonSearchMetric'):
        metric_settings([dict(type='CocoMetric')])
