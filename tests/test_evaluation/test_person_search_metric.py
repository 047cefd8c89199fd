import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from mmps.evaluation import PersonSearchMetric, Predictions
from mmps.registry import METRICS

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'eval_predictions.py'
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
    metrics, _ = evaluate(IMAGES, cross_camera=True, topk=(1,), prefix='prw')
    # images 0 and 2 are of camera 0, image 1 of camera 1: only it is searched
    assert metrics['prw/search_cross_camera/mAP'] == pytest.approx((1 / 2 + 0) / 2)
    assert metrics['prw/search/top1'] == 0.5
    assert 'prw/search/top5' not in metrics


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


def _run_tool(monkeypatch, capsys, *args):
    spec = importlib.util.spec_from_file_location('eval_predictions', TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(sys, 'argv', ['eval_predictions.py', *map(str, args)])
    tool.main()
    return capsys.readouterr().out


def test_dump_evaluates_to_the_same_figures(tmp_path, monkeypatch, capsys):
    path = tmp_path / 'predictions.npz'
    metrics, metric = evaluate(IMAGES, dump=path, cross_camera=True)
    assert Predictions.load(path).meta == metric.predictions.meta | {
        'evaluation': metric.settings | {'topk': [1, 5, 10]}
    }
    out = _run_tool(monkeypatch, capsys, path, '--json', '--cross-camera')
    assert json.loads(out) == metrics
    out = _run_tool(monkeypatch, capsys, path, '--json', '--no-cws', '--score-thr', '0.65')
    expected, _ = evaluate(IMAGES, cws=False, score_thr=0.65)
    assert json.loads(out) == expected
    assert expected != EXPECTED
    assert 'mAP  66.67' in _run_tool(monkeypatch, capsys, path)


def test_tool_reports_a_damaged_file_in_one_line(tmp_path, monkeypatch, capsys):
    path = tmp_path / 'p.npz'
    path.write_bytes(b'PK')
    with pytest.raises(SystemExit, match=r'^error: .*p\.npz is not a readable'):
        _run_tool(monkeypatch, capsys, path)


def test_dump_must_be_npz():
    with pytest.raises(ValueError, match=r'dump must be a \.npz'):
        PersonSearchMetric(dump='out.pkl')
