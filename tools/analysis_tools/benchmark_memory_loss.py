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
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from mmps.benchmark import (
    default_device,
    describe_machine,
    device_argument,
    difference,
    machine_line,
    plain_memory,
    plain_update,
    seconds,
    waits_for_device,
)
from mmps.models import (
    DOIMLoss,
    InstanceMatchingLoss,
    LOIMLoss,
    OIMLoss,
    ProtoNorm1d,
    prototype_labels,
)

TOLERANCE = 1e-5
LOSSES: dict[str, type[InstanceMatchingLoss]] = dict(OIM=OIMLoss, LOIM=LOIMLoss, DOIM=DOIMLoss)
SHORT = 10
"""What takes little time is timed that many times as often as the plain updates."""


@dataclass(frozen=True)
class Sizes:
    """Of a memory and of a step.

    Attributes:
        persons: L, rows of the lookup table.
        queue: Q, places of the queue.
        dim: D, size of an embedding.
        rows: of a step.
        labelled: share of the rows that are of labelled persons.
    """

    persons: int = 5532
    queue: int = 5000
    dim: int = 256
    rows: int = 640
    labelled: float = 0.5


@dataclass(frozen=True)
class Comparison:
    """A loss at a step, ours against the plain implementation.

    Attributes:
        difference: the largest between the memories that both leave.
        plain_ms: median of all repeats.
        ours_ms: median.
        ratio: of the medians.
        shortest_ratio: of the shortest times.
        waits: on a GPU, the line at which the host first waited for it; empty where it did not.
            None elsewhere.
    """

    loss: str
    rows_per_person: int
    difference: float
    plain_ms: float
    ours_ms: float
    ratio: float
    shortest_ratio: float
    waits: str | None


def make_loss(name: str, sizes: Sizes, device: torch.device) -> InstanceMatchingLoss:
    """A loss in the middle of a training: a tenth of the table is not filled, the queue is."""
    generator = torch.Generator().manual_seed(0)
    loss = LOSSES[name](sizes.persons, sizes.queue, dim=sizes.dim)
    vectors = _unit_rows(sizes.persons, sizes.dim, generator)
    vectors[torch.randperm(sizes.persons, generator=generator)[: sizes.persons // 10]] = 0
    loss.table.vectors.copy_(vectors)
    loss.queue.vectors.copy_(_unit_rows(sizes.queue, sizes.dim, generator))
    if isinstance(loss, DOIMLoss):
        drawn = torch.rand(sizes.queue, generator=generator) + 0.5
        loss.queue.importance.copy_(drawn.sort(descending=True).values)
    return loss.to(device).train()


def make_step(
    loss: InstanceMatchingLoss, sizes: Sizes, rows_per_person: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings (B, D) around the prototypes of their persons, pids (B,) and IoUs (B,)."""
    generator = torch.Generator().manual_seed(1)
    num_labelled = round(sizes.labelled * sizes.rows)
    persons = torch.randperm(sizes.persons, generator=generator)
    pids = torch.full((sizes.rows,), -1)
    pids[:num_labelled] = persons.repeat_interleave(rows_per_person)[:num_labelled]
    pids = pids[torch.randperm(sizes.rows, generator=generator)]
    noise = _unit_rows(sizes.rows, sizes.dim, generator)
    centres = loss.table.vectors.cpu()[pids.clamp(min=0)]
    x = F.normalize(torch.where(pids[:, None] < 0, noise, centres + noise))
    ious = 0.5 + 0.5 * torch.rand(sizes.rows, generator=generator)
    device = loss.table.vectors.device
    return x.to(device), pids.to(device), ious.to(device)


def _unit_rows(rows: int, dim: int, generator: torch.Generator) -> Tensor:
    return F.normalize(torch.randn(rows, dim, generator=generator))


def compare(
    name: str, sizes: Sizes, rows_per_person: int, device: torch.device, *, repeats: int
) -> Comparison:
    """Compare one update, then time how long it takes, again and again.

    Raises:
        ValueError: the memories differ by more than :data:`TOLERANCE`.
    """
    loss = make_loss(name, sizes, device)
    # In float64, so that a difference is not the plain implementation's own rounding.
    exact = plain_memory(loss, torch.float64)
    x, pids, ious = make_step(loss, sizes, rows_per_person)
    memory = plain_memory(loss, torch.float32)
    # As forward puts them.
    order = (pids < 0).int().argsort(stable=True)
    x, pids, ious = x[order], pids[order], ious[order]
    products = loss.table.negative_log_likelihood(
        x, pids[pids >= 0], loss.queue.vectors, loss.temperature
    )

    def update() -> None:
        loss.stage(x, pids, ious, *products)
        loss.commit()

    update()
    plain_update(loss, exact, x.double(), pids, ious.double())
    found = difference(loss, exact)
    if found > TOLERANCE:
        raise ValueError(
            f'{name} with {rows_per_person} rows a person: the memory differs by {found:.1e} from '
            f'that of the plain implementation, more than {TOLERANCE:.0e}; there is no use in '
            'timing it'
        )

    plain, ours = [], []
    for _ in range(repeats):
        plain.append(seconds(partial(plain_update, loss, memory, x, pids, ious), device))
        ours += [seconds(update, device) for _ in range(SHORT)]
    waits = None
    if device.type == 'cuda':
        loss.stage(x, pids, ious, *products)
        waits = waits_for_device(loss.commit)
    return Comparison(
        loss=name,
        rows_per_person=rows_per_person,
        difference=found,
        plain_ms=1e3 * median(plain),
        ours_ms=1e3 * median(ours),
        ratio=median(plain) / median(ours),
        shortest_ratio=min(plain) / min(ours),
        waits=waits,
    )


def compare_norms(
    sizes: Sizes, device: torch.device, *, affine: bool, repeats: int
) -> dict[str, float]:
    """Time forward and backward of BatchNorm1d and of ProtoNorm1d on (rows, D).

    Returns:
        The shortest of all repeats in ms: ``batch_norm``; ``proto_norm``, the layer alone;
        ``labels``, what entering ``prototype_labels`` costs once for all layers below a module.
        And ``ratio``, of the layers.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(sizes.rows, sizes.dim, generator=generator).to(device).requires_grad_()
    g = torch.randn(sizes.rows, sizes.dim, generator=generator).to(device)
    pids = torch.randint(-2, 25, (sizes.rows,), generator=generator).to(device)
    batch_norm = nn.BatchNorm1d(sizes.dim, affine=affine).to(device)
    proto_norm = ProtoNorm1d(sizes.dim, affine=affine).to(device)

    def run(norm: nn.Module) -> None:
        norm(x).backward(g)

    def label() -> None:
        with prototype_labels(proto_norm, pids):
            pass

    times: dict[str, list[float]] = dict(batch_norm=[], proto_norm=[], labels=[])
    for _ in range(10 * SHORT * repeats):
        times['batch_norm'].append(seconds(partial(run, batch_norm), device))
        with prototype_labels(proto_norm, pids):
            times['proto_norm'].append(seconds(partial(run, proto_norm), device))
        times['labels'].append(seconds(label, device))
    figures = {name: 1e3 * min(values) for name, values in times.items()}
    return dict(figures, ratio=figures['proto_norm'] / figures['batch_norm'])


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
            asdict(compare(name, sizes, number, args.device, repeats=args.repeats))
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
