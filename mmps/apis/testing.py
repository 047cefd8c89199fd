"""Testing a model of a config on its test set, and evaluating kept predictions again."""

import os

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.runner.checkpoint import _load_checkpoint

from mmps.evaluation import Predictions
from mmps.evaluation.metrics import metric_settings
from mmps.registry import METRICS, MODELS

from .images import test_steps
from .weights import check_weights, fingerprint, load_weights


def test_model(cfg: Config, checkpoint: str) -> dict[str, float]:
    """Test a model by MMEngine's runner.

    Predictions that are kept get the id of the model that made them (``meta['model_id']``).

    Args:
        cfg: with a ``work_dir``; changed.
        checkpoint: file or address.

    Returns:
        The figures of the config's evaluator.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it cannot be read, or is of another model and predictions are kept.
    """
    check_weights(checkpoint)
    metrics = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    for metric in metrics:
        if metric.get('dump') is not None:
            metric['meta'] = {**metric.get('meta', {}), 'model_id': _model_id(cfg, checkpoint)}
    cfg.load_from = checkpoint
    figures: dict[str, float] = Runner.from_cfg(cfg).test()
    return figures


def keep_predictions(cfg: Config, checkpoint: str, out: str | os.PathLike[str]) -> None:
    """Let the person search metric of a config keep its predictions, and of which model they are.

    Args:
        cfg: changed.
        checkpoint: the model's, file or address.
        out: .npz file.

    Raises:
        ValueError: the evaluator has no such metric.
    """
    metric = metric_settings(cfg.test_evaluator)
    metric['dump'] = os.fspath(out)
    metric['meta'] = {
        **metric.get('meta', {}),
        'config': cfg.filename,
        'checkpoint': checkpoint,
        'test_cfg': cfg.model.get('test_cfg'),
    }


def _model_id(cfg: Config, checkpoint: str) -> str:
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    model = MODELS.build(cfg.model)
    load_weights(model, _load_checkpoint(checkpoint, map_location='cpu'))
    return fingerprint(model, cfg.model, test_steps(cfg))


def evaluate_again(cfg: Config, path: str | os.PathLike[str]) -> dict[str, float]:
    """Evaluate kept predictions as a config's person search metric does.

    Args:
        cfg: with the metric among its ``test_evaluator``.
        path: .npz file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or does not fit the searches of the config.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    metric = METRICS.build(metric_settings(cfg.test_evaluator))
    figures: dict[str, float] = metric.evaluate_predictions(Predictions.load(path))
    return figures
