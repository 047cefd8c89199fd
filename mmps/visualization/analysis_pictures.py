"""Pictures of the analyses of a search; figures in percent."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mmps.evaluation.analysis import (
    CameraPairs,
    GallerySizeCurve,
    OperatingPoint,
    QueryGroups,
    ScoreSweep,
    SimilarityCurve,
)

from .figures import (
    COLORS,
    INK,
    Curve,
    add_legend,
    new_axes,
    plot_lines,
    save_figure,
)

_BAR_WIDTH = 0.27


def draw_gallery_size(curve: GallerySizeCurve, path: str | Path) -> None:
    """Draw mAP and top-1 over the size of the gallery, which grows by factors."""
    figure, axes = new_axes(xlabel='scenes in the gallery of a query', ylabel='%')
    lines = {'mAP': curve.mean_ap, 'top-1': curve.top1}
    plot_lines(axes, {name: _percent(curve.sizes, values) for name, values in lines.items()})
    axes.set_xscale('log')
    axes.set_xticks(curve.sizes, [f'{size:,}' for size in curve.sizes], rotation=45)
    axes.minorticks_off()
    axes.set_ylim(0, 102)
    save_figure(figure, path)


def draw_camera_pairs(pairs: CameraPairs, path: str | Path) -> None:
    """Draw mAP as a matrix: a row for the camera of the query, a column for that of the gallery."""
    num = len(pairs.cameras)
    height = 1.4 + 0.45 * num
    figure, axes = new_axes(xlabel='gallery camera', ylabel='query camera', height=height)
    axes.imshow(100 * pairs.mean_ap, cmap='Blues', vmin=0, vmax=100, aspect='auto')
    axes.grid(visible=False)
    axes.set_xticks(range(num), pairs.cameras.tolist())
    axes.set_yticks(range(num), pairs.cameras.tolist())
    for row, column in np.ndindex(num, num):
        value = 100 * pairs.mean_ap[row, column]
        empty = np.isnan(value)
        axes.text(
            column,
            row,
            '–' if empty else f'{value:.1f}',
            ha='center',
            va='center',
            fontsize=8,
            # On the page's ground, on a pale cell and on a dark one.
            color=INK if empty else 'black' if value < 50 else 'white',
        )
    save_figure(figure, path)


def draw_query_groups(
    groups: QueryGroups, path: str | Path, *, xlabel: str, label: Callable[[float], str]
) -> None:
    """Draw bars of mAP, top-1 and the share of targets that were detected, group by group.

    Args:
        groups: the figures.
        path: PNG file to write.
        xlabel: what the queries are grouped by.
        label: how to write a border of a group.
    """
    figure, axes = new_axes(xlabel=xlabel, ylabel='%')
    places = np.arange(len(groups.low))
    bars = {'mAP': groups.mean_ap, 'top-1': groups.top1, 'targets detected': groups.found}
    for index, (name, values) in enumerate(bars.items()):
        axes.bar(
            places + (index - 1) * _BAR_WIDTH,
            100 * values,
            _BAR_WIDTH,
            label=name,
            color=COLORS[index],
        )
    names = group_names(groups, label)
    ticks = [f'{name}\n{n:,} queries' for name, n in zip(names, groups.num_queries, strict=True)]
    axes.set_xticks(places, ticks, fontsize=8)
    axes.set_ylim(0, 100)
    add_legend(axes, columns=3, above=True)
    save_figure(figure, path)


def group_names(groups: QueryGroups, label: Callable[[float], str]) -> list[str]:
    """Names of groups from their borders; one that holds a single value is named by it."""
    return [
        label(high) if low == high else f'{label(low)} – {label(high)}'
        for low, high in zip(groups.low, groups.high, strict=True)
    ]


def draw_score_sweep(sweep: ScoreSweep, path: str | Path) -> None:
    """Draw detection and search over the score threshold."""
    figure, axes = new_axes(xlabel='lowest detection score', ylabel='%')
    lines = {
        'detection recall': sweep.recall,
        'detection AP': sweep.ap,
        'search mAP': sweep.mean_ap,
        'search top-1': sweep.top1,
    }
    plot_lines(axes, {name: _percent(sweep.thresholds, y) for name, y in lines.items()})
    axes.set_ylim(0, 102)
    save_figure(figure, path)


def draw_recall_against_search(sweep: ScoreSweep, path: str | Path) -> None:
    """Draw the search over what is detected, each point with its score threshold."""
    figure, axes = new_axes(xlabel='detection recall [%]', ylabel='search mAP [%]')
    recall, mean_ap = 100 * sweep.recall, 100 * sweep.mean_ap
    plot_lines(axes, {'search mAP': (recall.tolist(), mean_ap.tolist())})
    apart = 0.06 * max(np.ptp(recall), 1)
    shown = np.inf
    for threshold, x, y in zip(sweep.thresholds, recall, mean_ap, strict=True):
        if shown - x < apart:  # recall falls as the threshold rises
            continue
        shown = x
        axes.annotate(
            f'{threshold:g}',
            (x, y),
            xytext=(-2, 4),
            textcoords='offset points',
            ha='right',
            fontsize=8,
            color=INK,
        )
    save_figure(figure, path)


def draw_similarity(
    curve: SimilarityCurve, points: Sequence[OperatingPoint], path: str | Path
) -> None:
    """Draw precision and recall over the similarity threshold; dotted: the chosen thresholds."""
    figure, axes = new_axes(xlabel='lowest similarity', ylabel='%')
    lines = {'precision': curve.precision, 'recall': curve.recall}
    shown = curve.span
    thresholds = curve.thresholds[shown]
    plot_lines(axes, {name: _percent(thresholds, y[shown]) for name, y in lines.items()})
    for point in points:
        axes.axvline(point.threshold, color=INK, linewidth=0.8, linestyle=':')
    axes.set_ylim(0, 102)
    save_figure(figure, path)


def draw_false_alarms(
    curve: SimilarityCurve, points: Sequence[OperatingPoint], path: str | Path
) -> None:
    """Draw recall over the false alarms for a query; dots: the chosen thresholds."""
    alarming = curve.num_wrong > 0
    figure, axes = new_axes(xlabel='false alarms for a query', ylabel='recall [%]')
    alarms = curve.false_alarms_per_query[alarming]
    plot_lines(axes, {'all thresholds': _percent(alarms, curve.recall[alarming])})
    axes.set_xscale('log')
    for index, point in enumerate(points):
        if point.false_alarms_per_query > 0:
            axes.plot(
                point.false_alarms_per_query,
                100 * point.recall,
                'o',
                color=COLORS[(index + 1) % len(COLORS)],
                label=f'rate {point.false_alarm_rate:.1e}: from {point.threshold:.3f}',
            )
    add_legend(axes)
    save_figure(figure, path)


def _percent(steps: np.ndarray, fractions: np.ndarray) -> Curve:
    return steps.tolist(), (100 * fractions).tolist()
