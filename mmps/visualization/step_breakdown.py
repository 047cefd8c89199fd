from collections.abc import Mapping
from pathlib import Path

from .figures import COLORS, INK, add_legend, new_axes, save_figure

_ROW = 0.24  # inches


def draw_step_breakdown(parts: Mapping[str, Mapping[str, float]], path: str | Path) -> None:
    """Write a PNG file with a bar for each part of a step, from top to bottom.

    Args:
        parts: milliseconds of each phase of each part, by name, as
            :func:`mmps.benchmark.summarise` gives them.
        path: of the file.
    """
    figure, axes = new_axes(xlabel='ms a step', height=1.0 + _ROW * len(parts))
    names = list(parts)
    phases = list(dict.fromkeys(phase for times in parts.values() for phase in times))
    ends = [0.0] * len(names)
    for index, phase in enumerate(phases):
        widths = [parts[name].get(phase, 0.0) for name in names]
        axes.barh(names, widths, left=ends, color=COLORS[index], label=phase)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    total = sum(ends)
    for name, end in zip(names, ends, strict=True):
        share = end / total if total else 0.0
        axes.annotate(
            f' {share:.1%}', (end, name), va='center', color=INK, fontsize=8, annotation_clip=False
        )
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis='y')
    add_legend(axes, columns=len(phases), above=True)
    save_figure(figure, path)
