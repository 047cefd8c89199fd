"""`mmps evaluate`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import JsonOption
from .output import show, show_json

if TYPE_CHECKING:
    from mmengine.config import Config


def evaluate(
    target: Annotated[
        Path,
        typer.Argument(
            metavar='CONFIG | PREDICTIONS.npz',
            help='Config of a model to test, or predictions that --out kept.',
        ),
    ],
    checkpoint: Annotated[
        str | None,
        typer.Argument(
            metavar='[CHECKPOINT]',
            help='Weights of the model: file or address.',
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar='FILE.npz',
            help='Keep the predictions, to evaluate them again or to calibrate by.',
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help='With predictions: evaluate as this config does, not as recorded with them.',
            show_default=False,
        ),
    ] = None,
    cfg_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar='KEY=VALUE',
            help='Override a setting of the config, nested keys with dots; can be repeated.',
            show_default=False,
        ),
    ] = None,
    work_dir: Annotated[
        Path | None,
        typer.Option(help='Folder of logs [default: work_dirs/NAME_OF_CONFIG]', show_default=False),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Test a model on the test set of its config, or evaluate predictions again.

    Examples:
    [bold]mmps evaluate configs/seqnet_r50_prw.py epoch_18.pth --out prw.npz[/bold],
    then, without the model, [bold]mmps evaluate prw.npz[/bold]
    """
    from mmps.evaluation.functional import metrics_table

    if not target.is_file():
        raise FileNotFoundError(f'there is no file {target}')
    if target.suffix == '.npz':
        if checkpoint is not None or out is not None:
            raise ValueError(f'{target} are predictions already: leave out CHECKPOINT and --out')
        figures = _of_predictions(target, config, cfg_option)
    else:
        if config is not None:
            raise ValueError('--config goes with predictions; a config to test comes first')
        if checkpoint is None:
            raise ValueError(f'give a checkpoint to test {target} with')
        if out is not None and out.suffix != '.npz':
            raise ValueError(f'--out: {out} must end in .npz')
        from mmps.apis.testing import keep_predictions, test_model

        cfg = _load_config(target, cfg_option)
        cfg.work_dir = str(work_dir or cfg.get('work_dir') or Path('work_dirs', target.stem))
        if out is not None:
            keep_predictions(cfg, checkpoint, out)
        figures = test_model(cfg, checkpoint)
    if json:
        show_json({'figures': figures, 'predictions': out})
    else:
        show(metrics_table(figures))


def _of_predictions(
    path: Path, config: Path | None, cfg_option: list[str] | None
) -> dict[str, float]:
    from mmps.apis.testing import evaluate_again
    from mmps.evaluation import Predictions, evaluate_predictions, recorded_settings

    if config is not None:
        return evaluate_again(_load_config(config, cfg_option), path)
    if cfg_option:
        raise ValueError('--cfg-option changes a config: name one, by --config')
    predictions = Predictions.load(path)
    return evaluate_predictions(predictions, **recorded_settings(predictions))


def _load_config(path: Path, options: list[str] | None) -> 'Config':
    from mmengine.config import Config, DictAction

    if not path.is_file():
        raise FileNotFoundError(f'there is no config file {path}')
    cfg = Config.fromfile(path)
    for option in options or []:
        if '=' not in option:
            raise ValueError(f'--cfg-option: {option} is not KEY=VALUE')
    # MMEngine's own reading of values, so that options mean what they mean to its tools.
    parser = argparse.ArgumentParser()
    parser.add_argument('options', nargs='*', action=DictAction)
    cfg.merge_from_dict(parser.parse_args(options or []).options or {})
    return cfg
