"""Train with one process and with several that share its batch; print what both end with.

    python tools/analysis_tools/compare_processes.py configs/seqxt_sample.py --seeds 0 1 2

N processes with a batch of b images each have one memory, one ProtoNorm and one loss: they are one
process with N b. Seed by seed the config is trained by one process with its batch, and by
`--processes` with an equal share of it each, on this machine (over gloo where there is no GPU).
What is left between them is what seeds differ by, in order and augmentation of the images, and
BatchNorm, which sees the images of its own process unless `sync_bn='torch'` is set (GPUs alone).

Each run is one `tools/train.py` in a folder of its own, evaluated after its last epoch. Finished
runs are not done again, others start anew.
"""

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

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

FIGURES = {
    'det/AP': 'detection AP, %',
    'det/recall': 'detection recall, %',
    'search/mAP': 'search mAP, %',
    'search/top1': 'search top-1, %',
    'loss': 'last loss',
    'loss_reid': 'last re-id loss',
    'memory_filled_table': 'table filled',
    'memory_cosine_table': 'cosine in the table',
    'memory_cosine_both': 'cosine in table and queue',
}
"""Rows of the table."""


def shared_batch(config: Config, processes: int) -> int:
    """Images a process where they share the batch of the config.

    Raises:
        ValueError: they cannot share it evenly.
    """
    batch = config.train_dataloader.batch_size
    if batch % processes:
        raise ValueError(
            f'train_dataloader.batch_size={batch} images are not to be shared by {processes} '
            'processes; set it by --cfg-options'
        )
    return batch // processes


def compared(runs: dict[int, list[dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """Of every figure that all runs have: mean and spread by number of processes."""
    summaries = {processes: mean_and_spread(figures) for processes, figures in runs.items()}
    return {
        name: {str(processes): summary[name] for processes, summary in summaries.items()}
        for name in FIGURES
        if all(name in summary for summary in summaries.values())
    }


def make_table(figures: dict[str, dict[str, Any]], processes: int) -> Table:
    """A row a figure, in Markdown: mean ± standard deviation over seeds, and the difference."""
    table = Table(box=box.MARKDOWN)
    table.add_column('figure')
    for title in ('1 process', f'{processes} processes', 'difference'):
        table.add_column(title, justify='right')
    for name, by_processes in figures.items():
        scale, digits = (100, 1) if '/' in name else (1, 3)
        one, many = by_processes['1'], by_processes[str(processes)]
        table.add_row(
            FIGURES[name],
            *(mean_text(figure, scale=scale, digits=digits) for figure in (one, many)),
            f'{scale * (many["mean"] - one["mean"]):+.{digits}f}',
        )
    return table


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser, help='config file; its batch is that of one process')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/processes'))
    parser.add_argument('--processes', type=int, default=2, help='N (default: 2)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='two runs each')
    args = parser.parse_args()
    if args.processes < 2:
        parser.error(f'--processes must be at least 2, not {args.processes}')
    return args


def run_all(args: argparse.Namespace, console: Console) -> None:
    config = load_config(args.config, args.cfg_options)
    batches = {1: config.train_dataloader.batch_size}
    batches[args.processes] = shared_batch(config, args.processes)
    settings = {'config': args.config, 'cfg_options': args.cfg_options}
    # Seed by seed: what is not finished can be looked at, too.
    runs: defaultdict[int, list[dict[str, float]]] = defaultdict(list)
    for seed in args.seeds:
        for processes, batch in batches.items():
            folder = args.work_dir / f'processes{processes}' / f'seed{seed}'
            run = evaluated_at_its_end(config, seed=seed)
            run.train_dataloader.batch_size = batch
            figures, state = result_of(
                run,
                folder,
                settings=settings,
                script=ROOT / 'tools/train.py',
                processes=processes,
            )
            runs[processes].append(figures)
            console.print(f'seed {seed}, {processes} x {batch} images: {state}')
    figures = compared(runs)
    write_json(figures, args.work_dir / 'summary.json')
    console.print(make_table(figures, args.processes))


def main() -> None:
    args = parse_args()
    try:
        # Wide enough for the table, which is Markdown only without line breaks.
        run_all(args, Console(highlight=False, width=200))
    except (ValueError, RuntimeError) as error:
        raise SystemExit(f'error: {error}') from error


if __name__ == '__main__':
    main()
