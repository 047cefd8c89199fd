"""Test a person search model: print its metrics, keep its predictions, draw them."""

import argparse
from typing import Any

from _cli import add_common_arguments, check_checkpoint, load_config, parse_args
from mmengine.config import Config


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file or address')
    parser.add_argument(
        '--out',
        '--dump',
        metavar='FILE.npz',
        help='keep the predictions in this file, to evaluate them again without the model',
    )
    parser.add_argument('--show', action='store_true', help='show the detections in a window')
    parser.add_argument(
        '--show-dir',
        help='write images of the detections to <work folder>/<time of the start>/SHOW_DIR',
    )
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds an image is shown, with --show'
    )
    return parser


def enable_dump(cfg: Config, path: str) -> None:
    """Let the person search metric keep its predictions in a file.

    Raises:
        ValueError: The config's test evaluator has no such metric.
    """
    evaluators = cfg.test_evaluator
    metrics: list[dict[str, Any]] = evaluators if isinstance(evaluators, list) else [evaluators]
    for metric in metrics:
        if metric['type'] in ('mmps.PersonSearchMetric', 'PersonSearchMetric'):
            metric['dump'] = path
            return
    raise ValueError("--out: the config's test_evaluator has no mmps.PersonSearchMetric")


def enable_drawing(cfg: Config, args: argparse.Namespace) -> None:
    """Let MMDet's visualisation hook show or write every image."""
    hook = cfg.default_hooks.setdefault('visualization', {'type': 'DetVisualizationHook'})
    hook.draw = True
    if args.show:
        hook.show = True
        hook.wait_time = args.wait_time
    if args.show_dir:
        hook.test_out_dir = args.show_dir


def main() -> None:
    parser = make_parser()
    args = parse_args(parser)
    check_checkpoint(args.checkpoint, parser)
    if args.out is not None and not args.out.endswith('.npz'):
        parser.error(f'--out: {args.out} must end in .npz')

    # After the arguments: loading the stack takes seconds, `-h` and mistakes should not.
    from mmengine.runner import Runner

    import mmps  # noqa: F401  registers its components

    cfg = load_config(args)
    cfg.load_from = args.checkpoint
    if args.out is not None:
        enable_dump(cfg, args.out)
    if args.show or args.show_dir:
        enable_drawing(cfg, args)
    Runner.from_cfg(cfg).test()


if __name__ == '__main__':
    main()
