"""MMEngine's metric for person search: collects predictions, dumps them, evaluates them."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmps.evaluation.functional.person_search import evaluate_predictions
from mmps.evaluation.functional.report import metrics_table
from mmps.evaluation.functional.search import make_searches
from mmps.evaluation.predictions import Predictions
from mmps.registry import METRICS
from mmps.version import __version__

from .gather import gather_arrays
from .packing import Pack, merge_packs, pack_results

_PACKED = (
    'the test pipeline has to load annotations with mmps.LoadPersonSearchAnnotations and end with '
    'mmps.PackPersonSearchInputs'
)
_PREDICTED = 'the model has to be an mmps.PersonSearchDetector'
_EMBEDDED = "a search with gallery='ground_truth' needs model.test_cfg.embed_ground_truth=True"
_META_SOURCE = 'name it in the `meta_keys` of mmps.PackPersonSearchInputs, whose default holds it'
# Name of an array -> the field of a data sample, its key in there, and what provides it.
_FIELDS = {
    'det_bboxes': ('pred_instances', 'bboxes', _PREDICTED),
    'det_scores': ('pred_instances', 'scores', _PREDICTED),
    'det_embeddings': ('pred_instances', 'embeddings', _PREDICTED),
    'gt_bboxes': ('gt_instances', 'bboxes', _PACKED),
    'gt_pids': ('gt_instances', 'pids', _PACKED),
    'gt_embeddings': ('gt_instances', 'embeddings', _EMBEDDED),
    'query_ids': ('query_instances', 'query_ids', _PACKED),
    'query_bboxes': ('query_instances', 'bboxes', _PACKED),
    'query_pids': ('query_instances', 'pids', _PACKED),
    'query_embeddings': ('query_instances', 'embeddings', _PREDICTED),
}
# Embeddings that may be missing, and the array that says of how many persons.
_PERSONS_OF = {'gt_embeddings': 'gt_pids', 'query_embeddings': 'query_ids'}


@METRICS.register_module()
class PersonSearchMetric(BaseMetric):
    """Detection recall and AP; mAP and top-k of any number of searches in the same predictions.

    Figures are fractions: ``det/recall``, ``det/AP``, ``search/mAP``, ``search/top1``, ... The
    definitions are those behind the published figures; see
    :mod:`mmps.evaluation.functional.ranking` and :mod:`mmps.evaluation.functional.detection`.
    A model that detects nothing gets 0; a data set without queries gets detection figures only.
    The predictions of the last evaluation stay in the attribute ``predictions`` of the main
    process's metric, for pictures.

    Args:
        searches: settings of each search by its name, the first part of its figures' keys; see
            :class:`~mmps.evaluation.functional.search.Search`. By default one named ``search``,
            with PRW's protocol.
        det_score_thr: detections of lower score do not enter the detection figures.
        topk: the k of top-k.
        dump: .npz file for the predictions, evaluated again without the model by ``tools/test.py
            --predictions`` and ``tools/analysis_tools/eval_predictions.py``.
        meta: what else to keep in the dump, such as the model's name; anything that JSON can hold.
        prefix: put before every key, as in MMEngine; none by default.

    Raises:
        ValueError: if a setting is not possible; the message names it.
    """

    default_prefix = ''  # keys have their own; None would make MMEngine warn

    def __init__(
        self,
        *,
        searches: Mapping[str, Mapping[str, Any]] = {'search': {}},
        det_score_thr: float = 0.01,
        topk: Sequence[int] = (1, 5, 10),
        dump: str | os.PathLike[str] | None = None,
        meta: Mapping[str, Any] | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(prefix=prefix)
        if dump is not None and not str(dump).endswith('.npz'):
            raise ValueError(f"dump must be a .npz file, got '{dump}'")
        self.searches = make_searches(searches)
        self.det_score_thr = det_score_thr
        self.topk = tuple(topk)
        self.dump = dump
        self.predictions: Predictions | None = None
        settings = {
            'searches': {name: dataclasses.asdict(s) for name, s in self.searches.items()},
            'det_score_thr': det_score_thr,
            'topk': self.topk,
        }
        self.meta = {**(meta or {}), 'mmps_version': __version__, 'evaluation': settings}
        try:
            json.dumps(self.meta)  # now, rather than when the predictions are there
        except (TypeError, ValueError) as error:
            raise ValueError(f'meta and searches must be JSON: {error}') from error

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Keep what evaluation needs of a batch, as arrays.

        Args:
            data_batch: not used.
            data_samples: ``DetDataSample`` of the detector's ``predict``, or their ``to_dict()``.

        Raises:
            ValueError: if a field is missing; the message says what provides it.
        """
        with_gt = any(search.gallery == 'ground_truth' for search in self.searches.values())
        self.results.extend(_to_result(sample, with_gt=with_gt) for sample in data_samples)

    def evaluate(self, size: int) -> dict[str, float]:
        """Evaluate what all processes have seen; each gets the figures.

        Instead of MMEngine's collection, which pickles, arrays are sent to the main process. An
        image that several processes have seen counts once.

        Args:
            size: not used: images are told apart by their ids, not by how many there should be.
        """
        packs = gather_arrays(pack_results(self.results))
        self.results.clear()
        figures: list[dict[str, float] | None] = [None]
        if is_main_process():
            metrics = self.compute_metrics(packs)
            prefix = f'{self.prefix}/' if self.prefix else ''
            figures = [{f'{prefix}{key}': value for key, value in metrics.items()}]
        broadcast_object_list(figures)
        assert figures[0] is not None
        return figures[0]

    def compute_metrics(self, results: list[Pack]) -> dict[str, float]:
        """Put all images together, dump them if asked, and evaluate.

        Args:
            results: what each process has seen, of
                :func:`~mmps.evaluation.metrics.packing.pack_results`.
        """
        self.predictions = predictions = Predictions(**merge_packs(results), meta=self.meta)
        if self.dump is not None:
            predictions.save(self.dump)
            print_log(f'Predictions saved to {self.dump}', logger='current')
        return self.evaluate_predictions(predictions)

    def evaluate_predictions(self, predictions: Predictions) -> dict[str, float]:
        """Evaluate predictions, such as loaded ones, as this metric does, and log a table."""
        metrics = evaluate_predictions(
            predictions,
            searches=self.searches,
            det_score_thr=self.det_score_thr,
            topk=self.topk,
        )
        print_log('\n' + metrics_table(metrics), logger='current')
        return metrics


def metric_settings(evaluator: Any) -> dict[str, Any]:
    """The settings of the person search metric in a config's evaluator, to read or to change.

    Args:
        evaluator: ``val_evaluator`` or ``test_evaluator`` of a config: settings of one metric or a
            list of such.

    Raises:
        ValueError: if there is no such metric.
    """
    metrics: Sequence[dict[str, Any]] = evaluator if isinstance(evaluator, list) else [evaluator]
    for settings in metrics:
        if settings['type'] in ('mmps.PersonSearchMetric', 'PersonSearchMetric'):
            return settings
    raise ValueError('the evaluator of the config has no mmps.PersonSearchMetric')


def _to_result(sample: Any, *, with_gt: bool) -> dict[str, Any]:
    """The arrays of one image, as :mod:`~mmps.evaluation.metrics.packing` names them."""
    image = str(_meta(sample, 'img_name'))
    result: dict[str, Any] = {
        'img_ids': int(_meta(sample, 'img_id')),
        'image_names': image,
        'image_paths': str(_meta(sample, 'img_path')),
        'camera_ids': int(_meta(sample, 'camera_id')),
        'sequence_ids': int(_get(sample, 'sequence_id', -1)),
        'image_sizes': tuple(int(n) for n in _meta(sample, 'ori_shape')[:2]),
    }
    for name, (field, key, source) in _FIELDS.items():
        instances = _get(sample, field)
        value = None if instances is None else _get(instances, key)
        if value is None and name in _PERSONS_OF:
            rows = len(result[_PERSONS_OF[name]])
            if rows == 0 or (name == 'gt_embeddings' and not with_gt):
                value = np.zeros((rows, 0), np.float32)
        if value is None:
            raise ValueError(f"'{image}': data sample without {field}.{key}; {source}")
        result[name] = _numpy(value)
    return result


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
