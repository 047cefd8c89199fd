"""Train {none, BN, PN} x {OIM, LOIM, DOIM} over several seeds; print mean and spread of each cell.

    python tools/analysis_tools/run_ablations.py configs/seqxt_sample.py --seeds 0 1 2

The norm after the Linear layers of the embedding (BatchNorm and ProtoNorm without affine, so that
they differ in the mean alone) and the loss of the re-identification are replaced; all else is the
config's. Each run is one `tools/train.py` in a folder of its own, evaluated after its last epoch.
Finished runs are not done again, others start anew. Runs can start from a trained checkpoint whose
re-identification is forgotten (`--load-from`, `--reset`), and leave parts of the model as they are
(`--cfg-options model.frozen_parameters=backbone,rpn_head`).
"""

import argparse
import itertools
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from rich import box
from rich.console import Console
from rich.table import Table

from mmps.arguments import add_config_arguments, load_config
from mmps.training_runs import (
    evaluated_at_its_end,
    mean_and_spread,
    mean_text,
    result_of,
    write_json,
)

ROOT = Path(__file__).resolve().parents[2]

NORMS: dict[str, dict[str, Any] | None] = {
    'none': None,
    'BN': dict(type='BN1d', affine=False),
    'PN': dict(type='mmps.PN1d', affine=False),
}
LOSSES = {'OIM': 'mmps.OIMLoss', 'LOIM': 'mmps.LOIMLoss', 'DOIM': 'mmps.DOIMLoss'}
SHARED = ('num_persons', 'queue_size', 'dim', 'temperature', 'loss_weight')
"""Settings of the config's loss that every loss has; each keeps its own defaults for the rest."""
PARTS = ('embedding_head', 'loss_reid')
"""Of the RoI head: what is replaced, and by default forgotten of a checkpoint."""

FIGURES = {
    'search/mAP': 'search mAP',
    'search/top1': 'search top-1',
    'reid/mAP': 're-id mAP',
    'reid/top1': 're-id top-1',
    'det/AP': 'detection AP',
    'memory_cosine_table': 'cosine in the table',
    'memory_cosine_both': 'cosine in table and queue',
}
"""Columns of the table: metrics in percent, cosines (OIMNet++, Fig. 5) as they are."""


class Cell(NamedTuple):
    """One setting of the grid, trained once for each seed."""

    norm: str
    loss: str


def cell_config(config: Config, cell: Cell, *, seed: int, load_from: Path | None) -> Config:
    """The config of one run: a copy with the cell's norm and loss, evaluated at its end."""
    config = evaluated_at_its_end(config, seed=seed)
    head = config.model.roi_head
    head.embedding_head.norm_cfg = NORMS[cell.norm]
    kept = {name: head.loss_reid[name] for name in SHARED if name in head.loss_reid}
    head.loss_reid = dict(type=LOSSES[cell.loss], **kept)
    config.load_from = None if load_from is None else str(load_from)
    return config


def forget(checkpoint: Path, prefixes: list[str], target: Path) -> None:
    """Write the weights of a checkpoint without those whose names start with one of the prefixes.

    Raises:
        ValueError: no weight starts with one of them.
    """
    import torch

    import mmps  # noqa: F401  lets checkpoints of MMEngine's runner be loaded safely

    weights = torch.load(checkpoint, map_location='cpu', weights_only=True)['state_dict']
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in weights):
            raise ValueError(f'--reset: no weight of {checkpoint} starts with {prefix!r}')
    kept = {name: w for name, w in weights.items() if not name.startswith(tuple(prefixes))}
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save({'state_dict': kept, 'meta': {}}, target)


def summarise(runs: dict[Cell, list[dict[str, float]]]) -> dict[Cell, dict[str, dict[str, float]]]:
    """Mean and sample standard deviation (where there are two runs) of every cell's figures."""
    return {cell: mean_and_spread(figures) for cell, figures in runs.items()}


def make_table(summary: dict[Cell, dict[str, dict[str, float]]]) -> Table:
    """A row a cell, in Markdown: mean ± standard deviation."""
    columns = [name for name in FIGURES if any(name in figures for figures in summary.values())]
    table = Table(box=box.MARKDOWN)
    for title in ('norm', 'loss', 'runs'):
        table.add_column(title)
    for name in columns:
        table.add_column(FIGURES[name], justify='right')
    for cell, figures in summary.items():
        runs = max(int(figure['runs']) for figure in figures.values())
        table.add_row(*cell, str(runs), *(_cell_text(name, figures.get(name)) for name in columns))
    return table


def _cell_text(name: str, figure: dict[str, float] | None) -> str:
    if figure is None:
        return '-'
    scale, digits = (1, 3) if name.startswith('memory_') else (100, 1)
    return mean_text(figure, scale=scale, digits=digits)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser, help='config file of a method of one or two stages')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/ablations'))
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='one run each')
    parser.add_argument('--norms', choices=NORMS, nargs='+', default=list(NORMS))
    parser.add_argument('--losses', choices=LOSSES, nargs='+', default=list(LOSSES))
    parser.add_argument('--load-from', type=Path, help='checkpoint that every run starts from')
    parser.add_argument(
        '--reset',
        nargs='+',
        default=[f'roi_head.{part}.' for part in PARTS],
        metavar='PREFIX',
        help='weights of that checkpoint that are forgotten (default: %(default)s)',
    )
    args = parser.parse_args()
    if args.load_from is not None and not args.load_from.is_file():
        parser.error(f'there is no checkpoint file {args.load_from}')
    return args


def config_with_parts(args: argparse.Namespace) -> Config:
    config = load_config(args.config, args.cfg_options)
    head = config.get('model', {}).get('roi_head', {})
    missing = [part for part in PARTS if part not in head]
    if missing:
        raise ValueError(f'{args.config}: model.roi_head has no {" and no ".join(missing)}')
    return config


def run_all(args: argparse.Namespace, console: Console) -> None:
    config = config_with_parts(args)
    start_from = None
    if args.load_from is not None:
        start_from = args.work_dir / 'start.pth'
        forget(args.load_from, args.reset, start_from)
    settings = {
        'config': args.config,
        'cfg_options': args.cfg_options,
        'load_from': None if args.load_from is None else str(args.load_from),
        'reset': args.reset if args.load_from else None,
    }
    # Seed by seed: an unfinished grid can be looked at, too.
    grid = list(itertools.product(args.seeds, args.norms, args.losses))
    runs: defaultdict[Cell, list[dict[str, float]]] = defaultdict(list)
    for number, (seed, norm, loss) in enumerate(grid, start=1):
        cell = Cell(norm, loss)
        folder = args.work_dir / f'{norm}_{loss}'.lower() / f'seed{seed}'
        run = cell_config(config, cell, seed=seed, load_from=start_from)
        figures, state = result_of(run, folder, settings=settings, script=ROOT / 'tools/train.py')
        runs[cell].append(figures)
        console.print(f'{number}/{len(grid)} {norm}, {loss}, seed {seed}: {state}')
    summary = summarise(runs)
    write_json(
        [{**cell._asdict(), 'figures': figures} for cell, figures in summary.items()],
        args.work_dir / 'summary.json',
    )
    console.print(make_table(summary))


def main() -> None:
    args = parse_args()
    try:
        # Wide enough for the table, which is Markdown only without line breaks.
        run_all(args, Console(highlight=False, width=200))
    except (ValueError, RuntimeError) as error:
        raise SystemExit(f'error: {error}') from error


if __name__ == '__main__':
    main()
