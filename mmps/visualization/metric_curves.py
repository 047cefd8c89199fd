"""A metric over the epochs of several training runs (SeqXt Fig. 8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from .figures import Curve, add_legend, new_axes, plot_lines, save_figure
from .training_curves import read_scalars


@dataclass(frozen=True)
class MetricCurve:
    """A metric of a training run.

    Attributes:
        curve: Epochs (or iterations) and values.
        by_epoch: Whether validations are counted in epochs, else in iterations.
    """

    curve: Curve
    by_epoch: bool

    @property
    def best(self) -> tuple[float, float]:
        """Epoch and value of the highest value; of equal ones the first."""
        steps, values = self.curve
        place = max(range(len(values)), key=values.__getitem__)
        return steps[place], values[place]


def read_metric(run: str | Path, metric: str) -> MetricCurve:
    """Read a metric of a training run from what MMEngine's local back end wrote.

    Args:
        run: ``vis_data/scalars.json``, or the work directory of the run. There a run that was
            resumed has one such file for each start; where they overlap the later one counts, and
            one that begins anew takes the place of all before it.
        metric: Its name in the log, such as ``search/mAP``.

    Raises:
        FileNotFoundError: There is no such file or no log in the directory.
        ValueError: A log is damaged, or no validation in it has the metric; the message names
            those that it has.
    """
    logs = [read_scalars(file) for file in _log_files(Path(run))]
    values: dict[float, float] = {}
    for log in logs:
        steps, metrics = log.val.get(metric, ([], []))
        if values and steps and steps[0] <= min(values):
            values = {}
        values.update(zip(steps, metrics, strict=True))
    if not values:
        known = sorted({name for log in logs for name in log.val})
        raise ValueError(
            f"{run}: no validation with the metric '{metric}'; "
            + (f'there are {", ".join(known)}' if known else 'nothing was validated')
        )
    ordered = sorted(values.items())
    curve = [step for step, _ in ordered], [value for _, value in ordered]
    return MetricCurve(curve, by_epoch=any(log.by_epoch for log in logs))


def draw_metrics(runs: Mapping[str, MetricCurve], path: str | Path, *, metric: str) -> None:
    """Draw a metric of one or several runs, in percent, each named with its best value.

    Args:
        runs: Name -> curve, values as fractions.
        path: PNG file to write.
        metric: What is written beside the axis.

    Raises:
        ValueError: Some runs were validated by epoch and others by iteration.
    """
    by_epoch = {name: run.by_epoch for name, run in runs.items()}
    if len(set(by_epoch.values())) > 1:
        others = [name for name, is_by_epoch in by_epoch.items() if not is_by_epoch]
        raise ValueError(
            f'{", ".join(others)}: validated by iteration, the other runs by epoch: draw them apart'
        )
    unit = 'epoch' if all(by_epoch.values()) else 'iteration'
    curves = {}
    for name, run in runs.items():
        steps, values = run.curve
        step, best = run.best
        label = f'{name}: {100 * best:.1f} at {unit} {step:g}'
        curves[label] = steps, [100 * value for value in values]
    figure, axes = new_axes(xlabel=unit, ylabel=f'{metric} [%]')
    plot_lines(axes, curves)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend(axes)  # also of a single run: it tells the best value
    save_figure(figure, path)


def _log_files(run: Path) -> list[Path]:
    if run.is_file():
        return [run]
    # MMEngine names the folder of each start after the time, so that names are in order of time.
    files = sorted(run.glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(
            f'{run}: neither a scalars.json nor a work directory of a training run, which has '
            '<time>/vis_data/scalars.json'
        )
    return files
