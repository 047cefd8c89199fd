"""Time the memory updates of OIM, LOIM and DOIM, and ProtoNorm, against plain counterparts.

    python tools/analysis_tools/benchmark_memory_loss.py

A memory update is compared with a plain implementation written from the papers' equations, one row
after another (mmps/benchmark/plain_memory.py). Both start from the same memory and get the same
rows; first the memories that they leave are compared, then they are timed in turn. Medians count;
the ratio of the best times beside theirs shows what other work on the machine did to them.

Ours is all that a step does for the memory alone: to put its rows in order, after the loss, and to
write them. The loss has the products of rows with table and queue already; the plain DOIM, which
reads as the paper, has them yet to compute.

Rows of the same person have to wait for each other, so that there are two steps: one where every
labelled row is of another person, and one of a few persons with many rows each, as proposals of an
image are.

On a GPU the writing is also run once with every wait of the host for the device made an error.
"""

import argparse
import json
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from mmps.benchmark import default_device, describe_machine, device_argument, machine_line
from mmps.benchmark.memory_updates import (
    LOSSES,
    Comparison,
    Sizes,
    compare_norms,
    compare_updates,
)


def print_report(report: dict[str, Any]) -> None:
    sizes = Sizes(**report['sizes'])
    console = Console(highlight=False, soft_wrap=True)
    table = Table(
        title=f'Memory update, {sizes.rows} rows ({sizes.labelled:.0%} labelled), '
        f'L = {sizes.persons}, Q = {sizes.queue}, D = {sizes.dim}; medians',
        title_justify='left',
    )
    for title in (
        'loss', 'rows a person', 'difference', 'plain, ms', 'ours, ms', 'ratio', 'of best',
    ):  # fmt: skip
        table.add_column(title, justify='left' if title == 'loss' else 'right', no_wrap=True)
    for values in report['updates']:
        row = Comparison(**values)
        table.add_row(
            row.loss,
            str(row.rows_per_person),
            f'{row.difference:.0e}',
            f'{row.plain_ms:.1f}',
            f'{row.ours_ms:.2f}',
            f'{row.ratio:.1f}',
            f'{row.shortest_ratio:.1f}',
        )
    console.print(table)
    for values in report['updates']:
        row = Comparison(**values)
        if row.waits is not None:
            where = row.waits or 'nowhere'
            console.print(f'{row.loss}, {row.rows_per_person} a person, waits for the GPU: {where}')
    norms = Table(
        title=f'ProtoNorm1d and BatchNorm1d, forward and backward of {sizes.rows} x {sizes.dim}',
        title_justify='left',
    )
    for title in ('affine', 'BatchNorm, ms', 'ProtoNorm, ms', 'ratio', 'labels, once, ms'):
        norms.add_column(title, justify='right')
    for affine, figures in report['norms'].items():
        norms.add_row(
            affine,
            f'{figures["batch_norm"]:.3f}',
            f'{figures["proto_norm"]:.3f}',
            f'{figures["ratio"]:.2f}',
            f'{figures["labels"]:.3f}',
        )
    console.print(norms)
    console.print(machine_line(report['machine']))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = Sizes()
    parser.add_argument('--rows', type=int, default=sizes.rows, help='B (default: %(default)s)')
    parser.add_argument('--persons', type=int, default=sizes.persons, help='L (%(default)s)')
    parser.add_argument('--queue', type=int, default=sizes.queue, help='Q (%(default)s)')
    parser.add_argument('--dim', type=int, default=sizes.dim, help='D (%(default)s)')
    parser.add_argument(
        '--labelled',
        type=float,
        default=sizes.labelled,
        help='share of the rows that are of labelled persons (default: %(default)s)',
    )
    parser.add_argument(
        '--rows-per-person',
        type=int,
        nargs='+',
        default=[1, 13],
        help='rows of each labelled person in a step; a step for each number (default: 1 and 13, '
        'which 64 positive proposals of an image with five persons give)',
    )
    parser.add_argument('--repeats', type=int, default=7, help='timed plain updates (default: 7)')
    parser.add_argument(
        '--device',
        type=device_argument,
        default=default_device(),
        help='cpu or cuda (default: cuda where there is one)',
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of tables')
    args = parser.parse_args()
    for name in ('rows', 'persons', 'queue', 'dim', 'repeats'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1, not {getattr(args, name)}')
    if not 0 < args.labelled <= 1:
        parser.error(f'--labelled must be in (0, 1], not {args.labelled}')
    for number in args.rows_per_person:
        if number < 1 or round(args.labelled * args.rows) > number * args.persons:
            parser.error(
                f'--rows-per-person {number}: {args.persons} persons do not give '
                f'{round(args.labelled * args.rows)} labelled rows'
            )
    return args


def main() -> None:
    args = parse_args()
    sizes = Sizes(args.persons, args.queue, args.dim, args.rows, args.labelled)
    report = dict(
        sizes=asdict(sizes),
        updates=[
            asdict(compare_updates(name, sizes, number, args.device, repeats=args.repeats))
            for name in LOSSES
            for number in args.rows_per_person
        ],
        norms={
            'no' if not affine else 'yes': compare_norms(
                sizes, args.device, affine=affine, repeats=args.repeats
            )
            for affine in (False, True)
        },
        machine=describe_machine(args.device),
    )
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report)


if __name__ == '__main__':
    main()
