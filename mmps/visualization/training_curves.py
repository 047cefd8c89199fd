"""Curves of a training run from the scalars that MMEngine's local back end wrote."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .figures import Curve, draw_lines

# Written beside the losses and metrics: when and how fast, not how well.
_BOOKKEEPING = {'epoch', 'iter', 'step', 'time', 'data_time', 'memory'}


@dataclass(frozen=True)
class TrainingLog:
    """Scalars of a training run.

    Attributes:
        train: Name of a loss, a learning rate ... -> its curve over iterations.
        val: Name of a metric -> its curve over validations.
        by_epoch: Whether validations are counted in epochs, else in iterations.
    """

    train: dict[str, Curve]
    val: dict[str, Curve]
    by_epoch: bool


def read_scalars(path: str | Path) -> TrainingLog:
    """Read ``vis_data/scalars.json``: one JSON object a line.

    Where a resumed run repeats a step, its last value counts.

    Args:
        path: The file.

    Returns:
        The curves; values that are not finite numbers are left out.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: A line is not a JSON object; the message names it.
    """
    train: defaultdict[str, dict[float, float]] = defaultdict(dict)
    val: defaultdict[str, dict[float, float]] = defaultdict(dict)
    by_epoch = False
    for number, line in enumerate(Path(path).read_text().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            step = record['step']
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f'{path}, line {number}: not a record of MMEngine (a JSON object with "step"). '
                'Give the file vis_data/scalars.json of a training run.'
            ) from error
        # Only training records have the iteration; those of a validation have the step alone.
        curves = train if 'iter' in record else val
        by_epoch |= 'iter' in record and 'epoch' in record
        for name, value in record.items():
            if name not in _BOOKKEEPING and _is_finite(value):
                curves[name][step] = value
    return TrainingLog(_sorted(train), _sorted(val), by_epoch)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _sorted(curves: Mapping[str, Mapping[float, float]]) -> dict[str, Curve]:
    return {
        name: ([step for step, _ in sorted(points.items())], [y for _, y in sorted(points.items())])
        for name, points in curves.items()
    }


def draw_curves(log: TrainingLog, folder: str | Path) -> dict[str, Path]:
    """Draw a training run: total loss, parts of the loss, learning rate, validation metrics.

    Args:
        log: The run.
        folder: Where the pictures are written; it exists.

    Returns:
        Title -> PNG file, of those pictures that the log has values for.
    """
    losses = {name: curve for name, curve in log.train.items() if 'loss' in name}
    total = {name: curve for name, curve in losses.items() if name == 'loss'}
    parts = {name: curve for name, curve in losses.items() if name != 'loss'}
    rates = {name: curve for name, curve in log.train.items() if name.endswith('lr')}
    validated = 'epoch' if log.by_epoch else 'iteration'
    pictures = [
        ('Total loss', 'total_loss', total, 'iteration'),
        ('Parts of the loss', 'loss_parts', parts, 'iteration'),
        ('Learning rate', 'learning_rate', rates, 'iteration'),
        ('Validation', 'validation', log.val, validated),
    ]
    drawn = {}
    for title, stem, curves, unit in pictures:
        if curves:
            drawn[title] = Path(folder, f'{stem}.png')
            draw_lines(curves, drawn[title], xlabel=unit)
    return drawn
