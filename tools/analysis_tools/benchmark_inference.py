"""Images a second of a config's model at test: by batch size, in float32, mixed and compiled.

    python tools/analysis_tools/benchmark_inference.py configs/seqnet_r50_prw.py --batch-sizes 1 4

The time is that of the whole test step: preprocessing, network, NMS. Loading images is not in it.
How long the RoI heads take hangs on how many boxes reach them, which is printed. Without a
checkpoint, what weights drawn by chance detect says nothing: images are noise then, and stage 2 of
a two-stage method gets a fixed number of boxes. With a checkpoint images are the test data's, where
they are.

FLOPs are those of matrix products and convolutions, a multiply-add as two (get_flops.py counts
one), counted in float32 without compilation. --peak-tflops tells what share of a card's peak at the
one precision that is measured is reached.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table
from torch import nn

from mmps.arguments import checkpoint_file, load_config
from mmps.benchmark import (
    add_model_arguments,
    build_detector,
    count_flops,
    data_root,
    describe_machine,
    flop_rate,
    image_size,
    machine_line,
    prepare_model,
    random_batch,
    seconds,
    with_options,
)
from mmps.models import RoIStage

PUBLISHED = {'SeqNet, ResNet-50': 16.7, 'SeqXt, ConvNeXt-B': 11.4}
"""Images a second at 900 x 1500 in SeqXt's paper, on another card than whichever runs this."""
MIB = 2**20
COLUMNS = {
    'batch': ('images', 'd'),
    'ms': ('ms', '.1f'),
    'images/s': ('images_per_second', '.3g'),
    'TFLOP/s': ('tflops', '.3g'),
    'of peak': ('peak_share', '.1%'),
    'peak MiB': ('peak_memory_mib', '.0f'),
}
"""Key and format of a run's figure by title; those that no run has are left out."""


def fix_detections(config: Config, number: int) -> None:
    """Let stage 1 hand this many boxes of an image on, whatever their scores and overlaps."""
    stage1 = config.model.test_cfg.rcnn.get('stage1')
    if stage1 is not None:
        stage1.update(score_thr=-1.0, max_per_img=number)
        stage1.nms.update(iou_threshold=1.0)


def make_batch(config: Config, args: argparse.Namespace, images: int) -> tuple[dict[str, Any], str]:
    """One batch, and what it is of."""
    loader = config.test_dataloader
    root = data_root(loader.dataset)
    if args.checkpoint and not args.random and root is not None and root.is_dir():
        loader.update(batch_size=images, num_workers=0, persistent_workers=False)
        return next(iter(Runner.build_dataloader(loader))), str(root)
    size = tuple(args.shape) if args.shape else image_size(loader.dataset.pipeline)
    return random_batch(images, size), f'noise of {size[0]} x {size[1]} pixels'


@contextmanager
def counted_boxes(model: nn.Module) -> Iterator[dict[str, int]]:
    """Count the boxes that each RoI stage gets."""
    counts: dict[str, int] = {}

    def count(name: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        counts[name] = counts.get(name, 0) + len(inputs[0])

    handles = [
        module.register_forward_pre_hook(partial(count, name.rpartition('.')[2]))
        for name, module in model.named_modules()
        if isinstance(module, RoIStage)
    ]
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()


def count_batches(
    config: Config, args: argparse.Namespace, batches: dict[int, tuple[dict[str, Any], str]]
) -> dict[int, int]:
    """FLOPs of the test step of each batch, by its number of images."""
    model = build_detector(config, args.device, checkpoint=args.checkpoint).eval()
    return {
        images: count_flops(partial(model.test_step, batch))
        for images, (batch, _) in batches.items()
    }


@torch.no_grad()
def measure(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    """Time all combinations of batch size, precision and compilation.

    Returns:
        The report as JSON: ``runs`` with images a second and FLOPs, as
        :func:`mmps.benchmark.flop_rate` gives them, by the median time; the machine.
    """
    device = args.device
    if args.checkpoint is None:
        fix_detections(config, args.detections)
    config = with_options(config, ['channels-last'] * args.channels_last)
    batches = {images: make_batch(config, args, images) for images in args.batch_sizes}
    first, data = next(iter(batches.values()))
    flops = count_batches(config, args, batches)
    runs: list[dict[str, Any]] = []
    for compiled in (False, True)[: 1 + args.compile]:
        model = build_detector(config, device, checkpoint=args.checkpoint).eval()
        failures = prepare_model(model, with_options(config, ['compiled'] * compiled))
        if compiled:
            model.test_step(first)
        if failures:
            runs.append(dict(compiled=compiled, errors=failures))
            continue
        for precision in args.precisions:
            for images, (batch, _) in batches.items():
                run = time_batch(model, batch, precision, device, repeats=args.repeats)
                rate = flop_rate(flops[images], run['ms'] / 1e3, args.peak_tflops)
                settings = dict(compiled=compiled, precision=precision, images=images)
                runs.append(settings | run | rate)
    return dict(
        config=Path(args.config).name,
        checkpoint=args.checkpoint,
        data=data,
        channels_last=args.channels_last,
        runs=runs,
        machine=describe_machine(device),
    )


def time_batch(
    model: nn.Module, batch: dict[str, Any], precision: str, device: torch.device, *, repeats: int
) -> dict[str, Any]:
    """Time the test step of one batch.

    Returns:
        ``ms``: median of its time, ``images_per_second``, ``boxes``: how many an image each RoI
        stage gets, and on a GPU ``peak_memory_mib``.
    """
    autocast = (
        nullcontext()
        if precision == 'float32'
        else torch.autocast(device.type, dtype=getattr(torch, precision))
    )
    images = len(batch['inputs'])
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
    with autocast:
        with counted_boxes(model) as boxes:  # also the first run, which chooses kernels
            model.test_step(batch)
        times = [seconds(partial(model.test_step, batch), device) for _ in range(repeats)]
    figures = dict(
        ms=1e3 * median(times),
        images_per_second=images / median(times),
        boxes={name: number / images for name, number in boxes.items()},
    )
    if device.type == 'cuda':
        figures['peak_memory_mib'] = torch.cuda.max_memory_allocated(device) / MIB
    return figures


def print_report(report: dict[str, Any]) -> None:
    runs = [run for run in report['runs'] if 'errors' not in run]
    columns = {
        title: column for title, column in COLUMNS.items() if any(column[0] in run for run in runs)
    }
    table = Table(title=f'{report["config"]}, a batch at test', title_justify='left')
    table.add_column('precision')
    table.add_column('network')
    for title in (*columns, 'boxes'):
        table.add_column(title, justify='right', overflow='fold')
    for run in runs:
        table.add_row(
            run['precision'],
            'compiled' if run['compiled'] else 'eager',
            *(format(run[key], style) for key, style in columns.values()),
            ', '.join(f'{number:.0f}' for number in run['boxes'].values()),
        )
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(table)
    for run in report['runs']:
        for failure in run.get('errors', ()):
            console.print(failure)
    weights = report['checkpoint'] or 'drawn by chance'
    layout = 'yes' if report['channels_last'] else 'no'
    console.print(
        f'Images: {report["data"]}. Weights: {weights}. Channels last: {layout}. Boxes: those of '
        'an image that each RoI stage gets.'
    )
    console.print(machine_line(report['machine']))
    published = ', '.join(f'{name} {fps}' for name, fps in PUBLISHED.items())
    console.print(f'For comparison, images/s that were published, on another card: {published}.')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_model_arguments(parser)
    parser.add_argument(
        '--checkpoint', type=checkpoint_file, help='weights (default: drawn by chance)'
    )
    parser.add_argument(
        '--batch-sizes', type=int, nargs='+', default=[1], help='images a batch (default: 1)'
    )
    parser.add_argument(
        '--precisions',
        nargs='+',
        choices=['float32', 'float16', 'bfloat16'],
        default=['float32'],
        help='float32 and/or mixed precision in one of the others (default: float32)',
    )
    parser.add_argument(
        '--channels-last', action='store_true', help='convolutions in that memory format'
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        help='the same once more with backbone and RoI stages by torch.compile, if that works',
    )
    parser.add_argument('--repeats', type=int, default=10, help='timed batches (default: 10)')
    parser.add_argument('--random', action='store_true', help='noise even where the test data is')
    parser.add_argument(
        '--detections',
        type=int,
        default=10,
        help='boxes an image that stage 2 gets without a checkpoint (default: 10)',
    )
    args = parser.parse_args()
    for name, numbers in (
        ('batch-sizes', args.batch_sizes),
        ('repeats', [args.repeats]),
        ('detections', [args.detections]),
    ):
        if min(numbers) < 1:
            parser.error(f'--{name} must be at least 1, not {min(numbers)}')
    if args.peak_tflops is not None and len(args.precisions) > 1:
        parser.error('--peak-tflops is for one precision: give --precisions that one')
    return args


def main() -> None:
    args = parse_args()
    report = measure(load_config(args.config, args.cfg_options), args)
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report)


if __name__ == '__main__':
    main()
