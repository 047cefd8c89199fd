"""How the pictures of numbers look: axes, colours, lines; they read on light and on dark pages."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Curve: TypeAlias = tuple[list[float], list[float]]
"""Steps and values."""

# The pictures are transparent: what is written has to be seen on white and on black.
INK = '#8a8f98'
COLORS = ('#2f7fd1', '#e07b39', '#2ca05a', '#c94f6d', '#8a63c9', '#b08d2e', '#2a9d9d', '#7b8794')

_WIDTH, _HEIGHT = 5.2, 3.0  # inches
_MANY_POINTS = 40


def new_axes(*, xlabel: str, ylabel: str = '', height: float = _HEIGHT) -> tuple[Figure, Axes]:
    """An empty picture with one set of axes.

    Args:
        xlabel: Written below the axes.
        ylabel: Written beside them.
        height: Of the picture in inches, for one of 5.2 inches width.
    """
    figure = Figure(figsize=(_WIDTH, height), dpi=200, layout='constrained')
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.tick_params(colors=INK, labelsize=9, which='both')
    axes.grid(visible=True, color=INK, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color(INK)
    return figure, axes


def plot_lines(axes: Axes, curves: Mapping[str, Curve]) -> None:
    """Plot named curves, each in a colour of its own, with a legend if there are several."""
    for index, (name, (steps, values)) in enumerate(curves.items()):
        axes.plot(
            steps,
            values,
            label=name,
            color=COLORS[index % len(COLORS)],
            linestyle=('-', '--', ':')[index // len(COLORS) % 3],
            # Few points are hard to see as a line, and a single one cannot be.
            marker='o' if len(steps) < _MANY_POINTS else None,
            markersize=3,
            linewidth=1.5,
        )
    if len(curves) > 1:
        add_legend(axes, columns=2 if len(curves) > 4 else 1)


def add_legend(axes: Axes, *, columns: int = 1, above: bool = False) -> None:
    """Name what is plotted: inside the axes where there is room, or above them."""
    axes.legend(
        fontsize=8,
        labelcolor=INK,
        frameon=False,
        ncols=columns,
        loc='lower center' if above else 'best',
        bbox_to_anchor=(0.5, 1) if above else None,
    )


def draw_lines(
    curves: Mapping[str, Curve], path: str | Path, *, xlabel: str, ylabel: str = ''
) -> None:
    """Write a PNG file with named curves; see :func:`plot_lines`."""
    figure, axes = new_axes(xlabel=xlabel, ylabel=ylabel)
    plot_lines(axes, curves)
    save_figure(figure, path)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a picture as PNG on a transparent ground."""
    figure.savefig(path, transparent=True)
