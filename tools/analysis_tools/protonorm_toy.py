"""Redraw Fig. 1 of OIMNet++ (ECCV 2022): what ProtoNorm does to a long tail of identities.

    python tools/analysis_tools/protonorm_toy.py --out work_dirs/protonorm_toy.png

Two-dimensional features of a few identities, two of them seen four times as often, are laid on the
unit circle as they are, after BatchNorm, and after ProtoNorm. An identity owns the arc of the
circle that is nearest to its mean direction: the more alike these arcs are, the better what the
losses of person search see, angles alone, tells the identities apart.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Wedge
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from mmps.models import ProtoNorm1d, prototype_labels
from mmps.visualization.figures import COLORS

Arcs = npt.NDArray[np.float64]

FREQUENT, RARE = 400, 100
"""Features of an identity: the first two identities have four times those of the others."""
CENTRE, RADIUS = (1.6, 1.2), 1.0
"""Identities lie around a point that is not the origin."""
SPREAD = 0.12
NORMS: dict[str, type[nn.Module] | None] = {
    'none': None,
    'BatchNorm': nn.BatchNorm1d,
    'ProtoNorm': ProtoNorm1d,
}


@dataclass(frozen=True)
class Figures:
    """What a norm leaves of the circle for each identity.

    Attributes:
        arcs: degrees of the circle that each identity owns; they sum to 360.
        accuracy: share of an identity's features that lie on its own arc, mean over identities.
    """

    arcs: list[float]
    accuracy: float


def make_features(identities: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features (N, 2) and their identities (N,), as many clouds around a circle off the origin."""
    generator = torch.Generator().manual_seed(seed)
    counts = [FREQUENT] * 2 + [RARE] * (identities - 2)
    ids = torch.arange(identities).repeat_interleave(torch.tensor(counts))
    angles = 2 * torch.pi * ids / identities
    centres = torch.tensor(CENTRE) + RADIUS * torch.stack([angles.cos(), angles.sin()], dim=1)
    return centres + SPREAD * torch.randn(len(ids), 2, generator=generator), ids


def normalise(features: Tensor, ids: Tensor, norm: type[nn.Module] | None) -> Tensor:
    """Features (N, 2) as a new norm layer without affine gives them in a training step."""
    if norm is None:
        return features
    layer = norm(features.shape[1], affine=False).train()
    with prototype_labels(layer, ids), torch.no_grad():
        return layer(features)


def mean_angles(directions: Tensor, ids: Tensor) -> Arcs:
    """The angle of each identity's mean direction, degrees in 0..360, (K,)."""
    means = torch.stack([directions[ids == identity].mean(dim=0) for identity in ids.unique()])
    return np.degrees(torch.atan2(means[:, 1], means[:, 0]).double().numpy()) % 360


def arcs(angles: Arcs) -> tuple[Arcs, Arcs]:
    """Where the part of the circle that is nearest to each angle (K,) begins and how wide it is.

    Returns:
        Starts and widths in degrees, (K,) each; the widths sum to 360.
    """
    order = angles.argsort()
    after = np.diff(angles[order], append=angles[order[0]] + 360)
    before = np.roll(after, 1)
    starts, widths = np.empty_like(angles), np.empty_like(angles)
    starts[order] = angles[order] - before / 2
    widths[order] = (before + after) / 2
    return starts, widths


def nearest(directions: Tensor, angles: Arcs) -> npt.NDArray[np.int64]:
    """The identity (N,) whose mean direction is nearest to each feature on the circle."""
    means = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))])
    return (directions.double().numpy() @ means).argmax(axis=1)


def study(identities: int, seed: int) -> dict[str, Figures]:
    """Figures for each of :data:`NORMS`."""
    features, ids = make_features(identities, seed)
    report = {}
    for name, norm in NORMS.items():
        directions = F.normalize(normalise(features, ids, norm))
        angles = mean_angles(directions, ids)
        right = nearest(directions, angles) == ids.numpy()
        shares = [right[ids.numpy() == identity].mean() for identity in range(identities)]
        report[name] = Figures(arcs(angles)[1].tolist(), float(np.mean(shares)))
    return report


def draw(identities: int, seed: int, path: Path) -> None:
    """Write the picture: the features, and the circle for each of :data:`NORMS`."""
    features, ids = make_features(identities, seed)
    figure = Figure(figsize=(4 * (1 + len(NORMS)), 4.4), dpi=120, layout='constrained')
    plain, *circles = figure.subplots(1, 1 + len(NORMS))
    prototypes = torch.stack([features[ids == identity].mean(dim=0) for identity in ids.unique()])
    draw_points(plain, features, ids)
    for point, color, what in (
        (features.mean(dim=0), 'crimson', 'mean of the features'),
        (prototypes.mean(dim=0), 'gold', 'mean of the prototypes'),
    ):
        plain.plot(*point, '*', color=color, markeredgecolor='black', markersize=14, label=what)
    plain.axhline(0, color='grey', linewidth=0.6)
    plain.axvline(0, color='grey', linewidth=0.6)
    plain.legend(loc='upper center', bbox_to_anchor=(0.5, -0.08), fontsize=8, frameon=False)
    plain.set_title(f'features ({FREQUENT} of two, {RARE} of the others)')
    for axes, (name, norm) in zip(circles, NORMS.items(), strict=True):
        directions = F.normalize(normalise(features, ids, norm))
        starts, widths = arcs(mean_angles(directions, ids))
        for identity, (start, width) in enumerate(zip(starts, widths, strict=True)):
            color = COLORS[identity % len(COLORS)]
            axes.add_patch(Wedge((0, 0), 1.25, start, start + width, color=color, alpha=0.25))
        draw_points(axes, directions, ids)
        axes.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
        axes.set_title(f'{name}, then L2: arcs of {widths.min():.0f}° to {widths.max():.0f}°')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def draw_points(axes: Axes, points: Tensor, ids: Tensor) -> None:
    colors = [COLORS[identity % len(COLORS)] for identity in ids.tolist()]
    axes.scatter(points[:, 0], points[:, 1], s=5, c=colors)
    axes.set_aspect('equal')


def print_report(report: dict[str, Figures]) -> None:
    table = Table(title='Degrees of the circle that each identity owns', title_justify='left')
    table.add_column('norm')
    identities = len(report['none'].arcs)
    for identity in range(identities):
        table.add_column(f'{identity}{" (frequent)" if identity < 2 else ""}', justify='right')
    table.add_column('accuracy', justify='right')
    for name, figures in report.items():
        table.add_row(name, *(f'{arc:.1f}' for arc in figures.arcs), f'{figures.accuracy:.3f}')
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f'Alike: {360 / identities:.1f} each.')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/protonorm_toy.png'), help='PNG file to write'
    )
    parser.add_argument('--identities', type=int, default=6, help='how many (default: 6)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    args = parser.parse_args()
    if args.identities < 3:
        parser.error(f'--identities must be at least 3, not {args.identities}')
    if args.out.suffix != '.png':
        parser.error(f'--out: {args.out} must end in .png')
    return args


def main() -> None:
    args = parse_args()
    draw(args.identities, args.seed, args.out)
    report = study(args.identities, args.seed)
    if args.json:
        print(json.dumps({name: asdict(figures) for name, figures in report.items()}, indent=2))
        return
    print_report(report)
    print(f'Picture: {args.out}')


if __name__ == '__main__':
    main()
