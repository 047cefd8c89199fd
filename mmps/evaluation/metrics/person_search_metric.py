"""MMEngine's metric for person search: collects predictions, dumps them, evaluates them."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmps.evaluation.functional.person_search import evaluate_predictions
from mmps.evaluation.functional.report import metrics_table
from mmps.evaluation.predictions import Predictions
from mmps.registry import METRICS
from mmps.version import __version__

_PACKED = (
    'the test pipeline has to load annotations with mmps.LoadPersonSearchAnnotations and end with '
    'mmps.PackPersonSearchInputs'
)
_PREDICTED = 'the model has to be an mmps.PersonSearchDetector'
_META_SOURCE = 'name it in the `meta_keys` of mmps.PackPersonSearchInputs, whose default holds it'


@METRICS.register_module()
class PersonSearchMetric(BaseMetric):
    """Detection recall and AP, search mAP and top-k, on PRW's protocol.

    Figures are fractions: ``det/recall``, ``det/AP``, ``search/mAP``, ``search/top1``, ... The
    definitions are those behind the published figures; see
    :mod:`mmps.evaluation.functional.ranking` and :mod:`mmps.evaluation.functional.detection`.
    A model that detects nothing gets 0; a data set without queries gets detection figures only.
    The predictions of the last evaluation stay in the attribute ``predictions`` of the main
    process's metric, for pictures.

    Args:
        score_thr: detections of lower score are not searched.
        det_score_thr: detections of lower score do not enter the detection figures.
        iou_thr: IoU from which a person counts as found.
        cws: multiply similarities by the detection score (confidence-weighted similarity).
        topk: the k of top-k.
        cross_camera: report ``search_cross_camera/...`` too: only images of other cameras count.
        dump: .npz file for the predictions, evaluated again without the model by
            ``tools/analysis_tools/eval_predictions.py``.
        collect_device: 'cpu' or 'gpu', as in MMEngine.
        prefix: put before every key, as in MMEngine; none by default.
    """

    default_prefix = ''  # keys have their own; None would make MMEngine warn

    def __init__(
        self,
        *,
        score_thr: float = 0.5,
        det_score_thr: float = 0.01,
        iou_thr: float = 0.5,
        cws: bool = True,
        topk: Sequence[int] = (1, 5, 10),
        cross_camera: bool = False,
        dump: str | os.PathLike[str] | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if dump is not None and not str(dump).endswith('.npz'):
            raise ValueError(f"dump must be a .npz file, got '{dump}'")
        self.dump = dump
        self.predictions: Predictions | None = None
        self.settings: dict[str, Any] = {
            'score_thr': score_thr,
            'det_score_thr': det_score_thr,
            'iou_thr': iou_thr,
            'cws': cws,
            'topk': tuple(topk),
            'cross_camera': cross_camera,
        }

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Keep what evaluation needs of a batch, as arrays.

        Args:
            data_batch: not used.
            data_samples: ``DetDataSample`` of the detector's ``predict``, or their ``to_dict()``.

        Raises:
            ValueError: if a field is missing; the message says what provides it.
        """
        self.results.extend(_to_result(sample) for sample in data_samples)

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Put all images together, dump them if asked, and evaluate.

        Args:
            results: what :meth:`process` kept, of all processes.
        """
        meta = {'mmps_version': __version__, 'evaluation': self.settings}
        self.predictions = predictions = _to_predictions(results, meta=meta)
        if self.dump is not None:
            predictions.save(self.dump)
            print_log(f'Predictions saved to {self.dump}', logger='current')
        metrics = evaluate_predictions(predictions, **self.settings)
        print_log('\n' + metrics_table(metrics), logger='current')
        return metrics


def _to_result(sample: Any) -> dict[str, Any]:
    """The arrays of one image, named as in :class:`Predictions`."""
    name = str(_meta(sample, 'img_name'))
    result: dict[str, Any] = {
        'img_id': int(_meta(sample, 'img_id')),
        'image_names': name,
        'image_paths': str(_meta(sample, 'img_path')),
        'camera_ids': int(_meta(sample, 'camera_id')),
        'image_sizes': tuple(int(n) for n in _meta(sample, 'ori_shape')[:2]),
    }
    for field, keys, prefix in (
        ('pred_instances', ('bboxes', 'scores', 'embeddings'), 'det'),
        ('gt_instances', ('bboxes', 'pids'), 'gt'),
        ('query_instances', ('query_ids', 'bboxes', 'pids', 'embeddings'), 'query'),
    ):
        instances = _get(sample, field)
        for key in keys:
            value = None if instances is None else _get(instances, key)
            if value is None and key == 'embeddings' and not len(result.get('query_ids', '?')):
                value = np.zeros((0, 0), np.float32)  # no query to embed on this image
            if value is None:
                source = _PREDICTED if field[0] == 'p' or key == 'embeddings' else _PACKED
                raise ValueError(f"'{name}': data sample without {field}.{key}; {source}")
            result[key if key == 'query_ids' else f'{prefix}_{key}'] = _numpy(value)
    return result


def _to_predictions(results: Sequence[Mapping[str, Any]], *, meta: dict[str, Any]) -> Predictions:
    # A sampler that pads the share of some process gives an image twice: keep one.
    unique = {(result['img_id'], result['image_names']): result for result in results}
    images = [unique[key] for key in sorted(unique)]

    def index_of(key: str) -> np.ndarray:
        return np.repeat(np.arange(len(images)), [len(image[key]) for image in images])

    arrays: dict[str, np.ndarray] = {
        'det_image': index_of('det_scores'),
        'gt_image': index_of('gt_pids'),
        'query_image': index_of('query_ids'),
    }
    for key in ('image_names', 'image_paths', 'camera_ids'):
        arrays[key] = np.array([image[key] for image in images])
    arrays['sequence_ids'] = np.full(len(images), -1)
    arrays['gt_embeddings'] = np.zeros((len(arrays['gt_image']), 0))
    arrays['image_sizes'] = np.array([image['image_sizes'] for image in images]).reshape(-1, 2)
    dims = (image[f'{kind}_embeddings'].shape[-1] for image in images for kind in ('det', 'query'))
    dim = max(dims, default=0)
    for key, width in (
        ('det_bboxes', 4),
        ('det_scores', None),
        ('det_embeddings', dim),
        ('gt_bboxes', 4),
        ('gt_pids', None),
        ('query_bboxes', 4),
        ('query_pids', None),
        ('query_ids', None),
        ('query_embeddings', dim),
    ):
        parts = [image[key] for image in images if len(image[key])]
        empty = np.zeros(0) if width is None else np.zeros((0, width))
        arrays[key] = np.concatenate(parts) if parts else empty
    order = np.argsort(arrays['query_ids'], kind='stable')
    for key in arrays:
        if key.startswith('query_'):
            arrays[key] = arrays[key][order]
    return Predictions(**arrays, meta=meta)


def _get(sample: Any, key: str, default: Any = None) -> Any:
    """A field of a dict or of a BaseDataElement; both have ``get``."""
    return sample.get(key, default)


def _meta(sample: Any, key: str) -> Any:
    value = _get(sample, key)
    if value is None:
        raise ValueError(f"Data sample without the meta key '{key}': {_META_SOURCE}")
    return value


def _numpy(value: Any) -> np.ndarray:
    value = getattr(value, 'tensor', value)  # MMDet's box types
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        # NumPy has no bfloat16, and half precision is one of the forward pass only.
        value = value.float() if value.is_floating_point() else value
        return np.asarray(value.numpy())
    return np.asarray(value)
