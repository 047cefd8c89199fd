"""Draw the mAP of one or several training runs by epoch (SeqXt, Fig. 8).

    python tools/analysis_tools/plot_map_by_epoch.py work_dirs/seqnet work_dirs/seqxt --out map.png

A run is its work directory or a vis_data/scalars.json of MMEngine's local back end.
"""

import argparse
from pathlib import Path

from mmps.visualization import draw_metrics, read_metric


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'runs', nargs='+', help='work directories of training runs, or their scalars.json'
    )
    parser.add_argument('--out', required=True, help='.png file to write')
    parser.add_argument(
        '--names', nargs='+', help='one for each run (default: the names of their directories)'
    )
    parser.add_argument(
        '--metric',
        default='search/mAP',
        help='its name in the logs, a fraction (default: search/mAP)',
    )
    args = parser.parse_args()
    args.names = args.names or [default_name(run) for run in args.runs]
    if len(args.names) != len(args.runs):
        parser.error(f'{len(args.names)} names for {len(args.runs)} runs')
    if len(set(args.names)) < len(args.names):
        parser.error(f'names must differ, got {", ".join(args.names)}: give --names')
    if Path(args.out).suffix != '.png':
        parser.error(f'--out must be a .png file, not {args.out}')
    return args


def default_name(run: str) -> str:
    """Name of a work directory; of a log the name of the work directory it lies in."""
    path = Path(run).resolve()
    return path.parent.parent.parent.name if path.name == 'scalars.json' else path.name


def main() -> None:
    args = parse_args()
    try:
        curves = {
            name: read_metric(run, args.metric)
            for name, run in zip(args.names, args.runs, strict=True)
        }
        Path(args.out).parent.mkdir(parents=True, exist_ok=True)
        draw_metrics(curves, args.out, metric=args.metric)
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    for name, curve in curves.items():
        step, best = curve.best
        unit = 'epoch' if curve.by_epoch else 'iteration'
        print(f'{name}: best {args.metric} {100 * best:.2f} % at {unit} {step:g}')
    print(f'Curves: {args.out}')


if __name__ == '__main__':
    main()
