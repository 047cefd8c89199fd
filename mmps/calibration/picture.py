"""The picture of a calibration."""

from pathlib import Path

from mmps.evaluation.analysis import SimilarityCurve
from mmps.visualization.figures import INK, add_legend, new_axes, plot_lines, save_figure

from .calibration import Calibration


def draw_calibration(calibration: Calibration, pairs: SimilarityCurve, path: str | Path) -> None:
    """Draw probability, precision and recall over the similarity; dotted: the threshold.

    Args:
        calibration: what a similarity means.
        pairs: the labelled pairs that it was made of.
        path: PNG file to write.
    """
    figure, axes = new_axes(xlabel='similarity', ylabel='%')
    shown = pairs.span
    thresholds = pairs.thresholds[shown]
    lines = {
        'probability at this similarity': calibration.probability(thresholds),
        'precision from here on': pairs.precision[shown],
        'recall from here on': pairs.recall[shown],
    }
    plot_lines(axes, {name: (thresholds.tolist(), (100 * y).tolist()) for name, y in lines.items()})
    axes.axvline(calibration.point.threshold, color=INK, linewidth=0.8, linestyle=':')
    axes.set_ylim(0, 102)
    add_legend(axes)
    save_figure(figure, path)
