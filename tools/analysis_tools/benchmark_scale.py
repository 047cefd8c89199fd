"""What memory losses and evaluation cost as persons, processes and galleries grow.

    python tools/analysis_tools/benchmark_scale.py

Memory and times of a step by persons and rows, traffic between processes that really talk (over
gloo, on this machine), and searches are measured at sizes that fit a workstation; rows marked
"continued" lie on the straight line through the measured ones; of bytes through the two largest,
since in small ones what malloc keeps back weighs most. The power with which the measured ones grow
is printed, too: a line is right where it is at most 1. All is measured on the CPU. docs/scale.md
has what follows from it. Needs Linux.
"""

import argparse
import json
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mmps.benchmark import (
    Row,
    count_traffic,
    describe_machine,
    grown,
    machine_line,
    measure_search,
    measure_step,
)
from mmps.models import DOIMLoss, InstanceMatchingLoss, OIMLoss

MIB = 2**20
LOSSES: dict[str, type[InstanceMatchingLoss]] = dict(oim=OIMLoss, doim=DOIMLoss)
TRAFFIC_ROWS = [16, 32, 64]


def measure_steps(args: argparse.Namespace) -> dict[str, dict[str, list[Row]]]:
    """By loss: steps ``by_persons`` with the rows of one process, and ``by_rows``."""
    report = {}
    settings = dict(queue=args.queue, dim=args.dim, repeats=args.repeats)
    for name in args.losses:
        by_persons = [
            dict(
                persons=persons,
                **measure_step(LOSSES[name], persons=persons, rows=args.rows, **settings),
            )
            for persons in args.persons
        ]
        by_rows = [
            dict(
                rows=rows,
                **measure_step(LOSSES[name], persons=args.persons[0], rows=rows, **settings),
            )
            for rows in args.update_rows
        ]
        costs = ('table_bytes', 'step_bytes', 'loss_seconds', 'update_seconds')
        report[name] = dict(
            by_persons=grown(by_persons, 'persons', args.at_persons, costs),
            by_rows=grown(by_rows, 'rows', args.at_ranks * args.rows, ['update_seconds']),
        )
    return report


def measure_traffic(args: argparse.Namespace) -> dict[str, list[Row]]:
    """By loss: bytes a step by ``processes`` and ``rows`` of each, ``whole`` and ``sharded``."""
    report = {}
    for name in args.losses:
        counted: list[Row] = []
        for processes in args.processes:
            counts = count_traffic(
                LOSSES[name], processes=processes, rows=TRAFFIC_ROWS, persons=1000, dim=args.dim
            )
            counted += [
                dict(
                    processes=processes,
                    rows=rows,
                    whole=counts[False, rows],
                    sharded=counts[True, rows],
                )
                for rows in TRAFFIC_ROWS
            ]
        end: Row = dict(processes=args.at_ranks, rows=args.rows, growth={})
        for kind in ('whole', 'sharded'):
            a_row, a_process, fixed = fit_traffic(counted, kind)
            end[kind] = args.at_ranks * (a_row * args.rows + a_process) + fixed
            end['growth'][kind] = dict(a_row=a_row, a_process=a_process, fixed=fixed)
        report[name] = [*counted, end]
    return report


def fit_traffic(counted: list[Row], kind: str) -> tuple[float, float, float]:
    """Bytes a row of all processes, a process, and in any case."""
    sizes = [[row['processes'] * row['rows'], row['processes'], 1] for row in counted]
    bytes_of = [row[kind] for row in counted]
    a_row, a_process, fixed = np.linalg.lstsq(np.array(sizes, float), bytes_of)[0]
    return float(a_row), float(a_process), float(fixed)


def measure_searches(args: argparse.Namespace) -> list[Row]:
    rows = [
        dict(
            detections=detections,
            **measure_search(detections=detections, queries=args.queries, dim=args.dim),
        )
        for detections in args.detections
    ]
    costs = ('given_bytes', 'more_bytes', 'seconds')
    return grown(rows, 'detections', args.at_detections, costs)


def print_report(report: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    settings = report['settings']
    for name, steps in report['steps'].items():
        _print(
            console,
            f'{name}, a step with {settings["rows"]} rows, one process, the whole table',
            steps['by_persons'],
            {
                'persons': ('persons', 1, ',.0f'),
                'table_bytes': ('table MiB', 1 / MIB, ',.1f'),
                'step_bytes': ('step, MiB more', 1 / MIB, ',.0f'),
                'loss_seconds': ('loss and gradients, ms', 1e3, ',.1f'),
                'update_seconds': ('update, ms', 1e3, ',.2f'),
            },
        )
        _print(
            console,
            f'{name}, the update by rows of all processes, {settings["persons"][0]:,} persons',
            steps['by_rows'],
            {
                'rows': ('rows', 1, ',.0f'),
                'update_seconds': ('update, ms', 1e3, ',.2f'),
            },
        )
        _print(
            console,
            f'{name}, bytes that a process receives in a step, {settings["dim"]}-d',
            report['traffic'].get(name, []),
            {
                'processes': ('processes', 1, ',.0f'),
                'rows': ('rows of each', 1, ',.0f'),
                'whole': ('whole table, KiB', 1 / 1024, ',.1f'),
                'sharded': ('sharded, KiB', 1 / 1024, ',.1f'),
            },
        )
    _print(
        console,
        f'A search, {settings["queries"]} queries, {settings["dim"]}-d',
        report['searches'],
        {
            'detections': ('detections', 1, ',.0f'),
            'given_bytes': ('given MiB', 1 / MIB, ',.0f'),
            'more_bytes': ('more MiB', 1 / MIB, ',.0f'),
            'seconds': ('seconds', 1, ',.2f'),
        },
    )
    console.print(machine_line(report['machine']))


def _print(
    console: Console, title: str, rows: list[Row], columns: dict[str, tuple[str, float, str]]
) -> None:
    """A table; columns: title, factor and format of a key. A missing figure is left empty."""
    if not rows:
        return
    table = Table(title=title, title_justify='left')
    for heading, _, _ in columns.values():
        table.add_column(heading, justify='right')
    table.add_column('')
    for row in rows:
        if 'growth' in row:
            table.add_section()
        cells = [
            format(row[key] * factor, style) if key in row else ''
            for key, (_, factor, style) in columns.items()
        ]
        table.add_row(*cells, 'continued' if 'growth' in row else 'measured')
    console.print(table)
    for cost, growth in rows[-1]['growth'].items():
        heading = columns[cost][0]
        if isinstance(growth, dict):
            text = ' + '.join(
                f'{growth[key]:,.0f} {of}'
                for key, of in (('a_row', 'a row'), ('a_process', 'a process'), ('fixed', 'bytes'))
            )
        else:
            text = f'measured ones grow with power {growth:.2f}'
        console.print(f'{heading}: {text}')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--losses', nargs='+', choices=list(LOSSES), default=list(LOSSES), help='default: both')
    many = dict(type=int, nargs='+')
    add('--persons', default=[5532, 40000, 80000, 160000], **many, help='measured table sizes')
    add('--at-persons', type=int, default=10**7, help='size to continue to (default: 10 million)')
    add('--rows', type=int, default=320, help='of a process and step, half labelled (default: 320)')
    add('--update-rows', default=[320, 1280, 5120], **many, help='measured sizes of an update')
    add('--queue', type=int, default=5000, help='places in the queue (default: 5000)')
    add('--dim', type=int, default=256, help='size of an embedding (default: 256)')
    add('--repeats', type=int, default=3, help='timed steps (default: 3)')
    add('--processes', default=[2, 4], **many, help='that traffic is counted of; 1 alone for none')
    add('--at-ranks', type=int, default=1000, help='processes to continue to (default: 1000)')
    add('--detections', default=[10**4, 10**5, 10**6], **many, help='measured sizes of galleries')
    add('--at-detections', type=int, default=10**8, help='to continue to (default: 100 million)')
    add('--queries', type=int, default=100, help='of a search (default: 100)')
    add('--json', action='store_true', help='print JSON instead of tables')
    args = parser.parse_args()
    for name in ('persons', 'update_rows', 'detections'):
        if len(set(getattr(args, name))) < 2:
            parser.error(f'--{name.replace("_", "-")}: growth takes two sizes at least')
    return args


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    report = dict(
        settings={key: value for key, value in vars(args).items() if key != 'json'},
        steps=measure_steps(args),
        traffic=measure_traffic(args) if max(args.processes) > 1 else {},
        searches=measure_searches(args),
        machine=describe_machine(torch.device('cpu')),
    )
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report)


if __name__ == '__main__':
    main()
