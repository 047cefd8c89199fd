r"""Take a training step of a config apart: which part takes how long, forward and backward.

    python tools/analysis_tools/benchmark_train.py configs/seqnet_r50_prw.py --out step.png
    python tools/analysis_tools/benchmark_train.py configs/seqnet_r50_prw.py \
        --compare channels-last compiled channels-last+compiled

The second form times whole steps of the same batch with and without settings of training, in
turns: the ratio is how many times faster a step is, the loss shows that it is the same step, but
for proposals that rounding tips.

Batches come from the config's training data where they are, else they are noise of the same size.
Weights are drawn by chance and stay what they are (learning rate 0), but nothing else is left out:
every step loads, trains, clips, steps and updates the memory. On a GPU times are taken by events in
its stream, and the next step begins when it is done with the last one: a step is as long as in
training where that has to wait for the GPU anyway, else a little longer.

FLOPs are those of matrix products and convolutions, a multiply-add as two (get_flops.py has one),
forward and backward, of a step without compilation. What limits their share the table shows.
"""

import argparse
import json
from collections.abc import Iterator
from functools import partial
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
    OPTIONS,
    RepeatedStep,
    Timeline,
    add_model_arguments,
    build_detector,
    build_optimiser,
    compare,
    count_flops,
    data_root,
    describe_machine,
    flop_rate,
    image_size,
    machine_line,
    options_argument,
    prepare_model,
    random_batch,
    summarise,
    train_step,
    watch_training,
    with_options,
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
        The report as JSON: settings, milliseconds a step, images a second, FLOPs as
        :func:`mmps.benchmark.flop_rate` gives them, ``parts`` in ms, peak memory of a GPU in MiB,
        the machine.
    """
    device = args.device
    config = with_options(config, args.options)
    batches, data = make_batches(config, args)
    model = build_detector(config, device).train()
    timeline = Timeline(device)
    # With an optimiser of its own, whose state is laid out as weights are before they are prepared.
    counted = build_optimiser(model, config.optim_wrapper, device=device)
    flops = count_flops(partial(train_step, timeline, model, counted, batches))
    failures = prepare_model(model, config)
    optimiser = build_optimiser(model, config.optim_wrapper, device=device)
    watch_training(timeline, model, optimiser)
    step = partial(train_step, timeline, model, optimiser, batches)
    for _ in range(args.warmup):
        step()
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
    steps = [step() for _ in range(args.steps)]
    times = [sum(parts.values()) for parts in steps]
    images = args.batch_size or config.train_dataloader.batch_size
    report = dict(
        config=Path(args.config).name,
        data=data,
        batch_size=images,
        options=args.options,
        not_compiled=failures,
        steps=args.steps,
        step_ms=dict(
            median=1e3 * median(times), shortest=1e3 * min(times), longest=1e3 * max(times)
        ),
        images_per_second=images / median(times),
        **flop_rate(flops, median(times), args.peak_tflops),
        parts=summarise(steps),
        machine=describe_machine(device),
    )
    if device.type == 'cuda':
        report['peak_memory_mib'] = torch.cuda.max_memory_allocated(device) / MIB
    return report


def measure_options(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    """Time steps of one batch with each of some sets of options, in turns.

    Returns:
        The report as JSON: settings, ``ways`` as :func:`mmps.benchmark.compare` gives them, each
        with the ``loss`` of a step, the machine.
    """
    batches, data = make_batches(config, args)
    batch = next(batches)
    trials = {'as configured': RepeatedStep(config, batch, args.device)}
    for names in args.compare:
        changed = with_options(config, [*args.options, *names.split('+')])
        trials[names] = RepeatedStep(changed, batch, args.device)
    for trial in trials.values():
        for _ in range(max(args.warmup, 1)):
            trial()
    ways = compare(trials, rounds=args.steps, device=args.device)
    for name, trial in trials.items():
        ways[name]['loss'] = trial.loss
    return dict(
        config=Path(args.config).name,
        data=data,
        batch_size=len(batch['inputs']),
        options=args.options,
        not_compiled=sorted({failure for trial in trials.values() for failure in trial.failures}),
        steps=args.steps,
        ways=ways,
        machine=describe_machine(args.device),
    )


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
    share = f', {report["peak_share"]:.1%} of the peak' if 'peak_share' in report else ''
    console.print(
        f'{report["tflop"]:.3g} TFLOP of matrix products and convolutions a step, a multiply-add '
        f'as two: {report["tflops"]:.3g} TFLOP/s{share}.'
    )
    if 'peak_memory_mib' in report:
        console.print(f'Peak memory of the GPU: {report["peak_memory_mib"]:.0f} MiB.')
    print_settings(report, console)


def print_comparison(report: dict[str, Any]) -> None:
    table = Table(title=f'{report["config"]}, a training step', title_justify='left')
    table.add_column('settings')
    has_cpu = all('cpu_ratio' in way for way in report['ways'].values())
    titles = ['ms a step', 'times faster', *['by CPU time'] * has_cpu, 'loss']
    for title in titles:
        table.add_column(title, justify='right')
    for name, way in report['ways'].items():
        ratios = [way['ratio'], *[way[key] for key in ['cpu_ratio'] if has_cpu]]
        table.add_row(
            name, f'{way["ms"]:.0f}', *(f'{ratio:.2f}' for ratio in ratios), f'{way["loss"]:.5f}'
        )
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f'Medians of {report["steps"]} steps each, taken in turns.')
    print_settings(report, console)


def print_settings(report: dict[str, Any], console: Console) -> None:
    options = ', '.join(report['options']) or 'none'
    console.print(
        f'Images a step: {report["batch_size"]}, {report["data"]}. Options beside the config: '
        f'{options}.',
        markup=False,
    )
    for failure in report['not_compiled']:
        console.print(failure, markup=False)
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
        '--with',
        nargs='+',
        choices=list(OPTIONS),
        default=[],
        dest='options',
        metavar='OPTION',
        help=f'settings of training beside those of the config: {", ".join(OPTIONS)}',
    )
    parser.add_argument(
        '--compare',
        nargs='+',
        type=options_argument,
        metavar='OPTION[+OPTION...]',
        help='time steps with each of these sets of options beside steps without',
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
    for name in ('out', 'peak_tflops'):
        if getattr(args, name) is not None and args.compare:
            option = f'--{name.replace("_", "-")}'
            parser.error(f'{option} is for one step by part: leave it or --compare out')
    return args


def main() -> None:
    args = parse_args()
    config = load_config(args.config, args.cfg_options)
    report = measure_options(config, args) if args.compare else measure(config, args)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        draw_step_breakdown(report['parts'], args.out)
    if args.json:
        print(json.dumps(report, indent=2))
        return
    (print_comparison if args.compare else print_report)(report)
    if args.out is not None:
        print(f'Picture: {args.out}')


if __name__ == '__main__':
    main()
