"""How many boxes identities have, the long tail of person search (OIMNet++, Fig. 4)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from .figures import COLORS, INK, new_axes, save_figure


def draw_identity_distribution(counts: Mapping[str, Sequence[int]], path: str | Path) -> None:
    """Draw the number of boxes of each identity, identities sorted by it, on a log scale.

    Args:
        counts: Name of a part of a dataset -> number of boxes of each of its identities, >= 1.
        path: PNG file to write.

    Raises:
        ValueError: No part has an identity.
    """
    shown = {name: np.sort(np.asarray(part))[::-1] for name, part in counts.items() if len(part)}
    if not shown:
        raise ValueError('no identity to draw the distribution of')
    figure, axes = new_axes(xlabel='identities, by number of boxes', ylabel='boxes')
    for (name, part), color in zip(shown.items(), COLORS, strict=False):
        # A step for each identity, the first at 1.
        edges = np.arange(len(part) + 1) + 0.5
        label = f'{name}: {len(part)} identities, median {np.median(part):g}'
        axes.stairs(part, edges, fill=True, alpha=0.3, color=color)
        axes.stairs(part, edges, color=color, label=label)
    axes.set_yscale('log')
    axes.set_ylim(bottom=0.8)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter('{x:g}'))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc='upper right', fontsize=8, labelcolor=INK, frameon=False)
    save_figure(figure, path)
