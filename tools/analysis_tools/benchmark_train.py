"""Take a training step of a config apart: which part takes how long, forward and backward.

    python tools/analysis_tools/benchmark_train.py configs/seqnet_r50_prw.py --out step.png

Batches come from the config's training data where they are, else they are noise of the same size.
Weights are drawn by chance and stay what they are (learning rate 0), but nothing else is left out:
every step loads, trains, clips, steps and updates the memory. On a GPU times are taken by events in
its stream, and the next step begins when it is done with the last one: a step is as long as in
training where that has to wait for the GPU anyway, else a little longer.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table

from mmps.arguments import load_config
from mmps.benchmark import (
    BACKWARD,
    FORWARD,
    Timeline,
    add_model_arguments,
    build_detector,
    build_optimiser,
    compile_module,
    data_root,
    describe_machine,
    image_size,
    machine_line,
    random_batch,
    summarise,
    train_step,
    watch_training,
)
from mmps.visualization import draw_step_breakdown

MIB = 2**20


def make_batches(config: Config, args: argparse.Namespace) -> tuple[Iterator[dict[str, Any]], str]:
    """Endless batches, and what they are of."""
    loader = config.train_dataloader
    images = args.batch_size or loader.batch_size
    root = data_root(loader.dataset)
    if not args.random and root is not None and root.is_dir():
        loader.batch_size = images
        return _endless(Runner.build_dataloader(loader, seed=0)), str(root)
    size = tuple(args.shape) if args.shape else image_size(loader.dataset.pipeline)
    batch = random_batch(
        images, size, persons=args.persons, num_persons=config.model.roi_head.loss_reid.num_persons
    )
    what = f'noise of {size[0]} x {size[1]} pixels, {args.persons} persons an image'
    return iter(lambda: batch, None), what


def _endless(loader: Any) -> Iterator[dict[str, Any]]:
    while True:
        yield from loader


def measure(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    """Take some steps apart.

    Returns:
        The report as JSON: settings, milliseconds a step, images a second, ``parts`` in ms, peak
        memory of a GPU in MiB, the machine.
    """
    device = args.device
    model = build_detector(config, device, channels_last=args.channels_last).train()
    optimiser = build_optimiser(model, config.optim_wrapper, amp=args.amp, device=device)
    batches, data = make_batches(config, args)
    timeline = Timeline(device)
    watch_training(timeline, model, optimiser)

    def step() -> dict[tuple[str, str], float]:
        return train_step(timeline, model, optimiser, batches)

    compiled = 'no'
    if args.compile:
        error = compile_module(model.backbone, step)
        compiled = 'backbone' if error is None else f'failed, run without: {error}'
    for _ in range(args.warmup):
        step()
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
    steps = [step() for _ in range(args.steps)]
    seconds = [sum(parts.values()) for parts in steps]
    images = args.batch_size or config.train_dataloader.batch_size
    report = dict(
        config=Path(args.config).name,
        data=data,
        batch_size=images,
        amp=args.amp or 'no',
        channels_last=args.channels_last,
        compiled=compiled,
        steps=args.steps,
        step_ms=dict(
            median=1e3 * median(seconds), shortest=1e3 * min(seconds), longest=1e3 * max(seconds)
        ),
        images_per_second=images / median(seconds),
        parts=summarise(steps),
        machine=describe_machine(device),
    )
    if device.type == 'cuda':
        report['peak_memory_mib'] = torch.cuda.max_memory_allocated(device) / MIB
    return report


def print_report(report: dict[str, Any]) -> None:
    table = Table(title=f'{report["config"]}, a training step', title_justify='left')
    table.add_column('part')
    for title in ('forward, ms', 'backward, ms', 'together, ms', 'share'):
        table.add_column(title, justify='right')
    parts = report['parts']
    whole = {
        phase: sum(times[phase] for times in parts.values()) for phase in ('forward', 'backward')
    }
    total = sum(whole.values())
    for name, times in parts.items():
        _add_row(table, name, times, total)
    table.add_section()
    _add_row(table, 'sum', whole, total)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    step = report['step_ms']
    console.print(
        f'Medians of {report["steps"]} steps, which took {step["shortest"]:.0f} to '
        f'{step["longest"]:.0f} ms, the median one {step["median"]:.0f} ms: '
        f'{report["images_per_second"]:.3g} images/s.'
    )
    console.print(
        f'Images a step: {report["batch_size"]}, {report["data"]}. Mixed precision: '
        f'{report["amp"]}. Channels last: {"yes" if report["channels_last"] else "no"}. '
        f'Compiled: {report["compiled"]}.',
        markup=False,
    )
    if 'peak_memory_mib' in report:
        console.print(f'Peak memory of the GPU: {report["peak_memory_mib"]:.0f} MiB.')
    console.print(machine_line(report['machine']))


def _add_row(table: Table, name: str, times: dict[str, float], total: float) -> None:
    together = sum(times.values())
    table.add_row(
        name,
        f'{times[FORWARD]:.1f}',
        f'{times[BACKWARD]:.1f}' if times[BACKWARD] else '',
        f'{together:.1f}',
        f'{together / total:.1%}',
    )


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_model_arguments(parser)
    parser.add_argument('--batch-size', type=int, help="images a step (default: the config's)")
    parser.add_argument('--steps', type=int, default=10, help='timed steps (default: 10)')
    parser.add_argument(
        '--warmup', type=int, default=3, help='steps before them, which do not count (default: 3)'
    )
    parser.add_argument(
        '--amp', choices=['float16', 'bfloat16'], help='mixed precision (default: none)'
    )
    parser.add_argument(
        '--compile', action='store_true', help='the backbone by torch.compile, if that works'
    )
    parser.add_argument(
        '--random', action='store_true', help='noise even where the training data is'
    )
    parser.add_argument(
        '--persons', type=int, default=5, help='boxes in an image of noise (default: 5)'
    )
    parser.add_argument('--out', type=Path, help='PNG file to draw the breakdown to')
    args = parser.parse_args()
    for name, least in (('steps', 1), ('warmup', 0), ('persons', 1), ('batch_size', 1)):
        if (getattr(args, name) or least) < least:
            parser.error(f'--{name.replace("_", "-")} must be at least {least}')
    if args.out is not None and args.out.suffix != '.png':
        parser.error(f'--out: {args.out} must end in .png')
    return args


def main() -> None:
    args = parse_args()
    report = measure(load_config(args.config, args.cfg_options), args)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        draw_step_breakdown(report['parts'], args.out)
    if args.json:
        print(json.dumps(report, indent=2))
        return
    print_report(report)
    if args.out is not None:
        print(f'Picture: {args.out}')


if __name__ == '__main__':
    main()
