"""Test a person search model: print its metrics, keep its predictions, draw them.

With --predictions instead of a checkpoint, predictions that were kept are evaluated again, by the
config's test_evaluator.
"""

import argparse

from _cli import add_common_arguments, check_checkpoint, load_config, parse_args
from mmengine.config import Config


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_arguments(parser)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file or address')
    parser.add_argument(
        '--predictions',
        metavar='FILE.npz',
        help='evaluate predictions that --out kept, without a model and its checkpoint',
    )
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


def check_arguments(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End the program with one line if the arguments do not go together or a file is missing."""
    if args.predictions is None:
        if args.checkpoint is None:
            parser.error('give a checkpoint to test, or --predictions to evaluate again')
        check_checkpoint(args.checkpoint, parser)
    elif args.checkpoint is not None or args.out or args.show or args.show_dir:
        parser.error(
            '--predictions evaluates without a model: leave out the checkpoint, --out, --show and '
            '--show-dir'
        )
    if args.out is not None and not args.out.endswith('.npz'):
        parser.error(f'--out: {args.out} must end in .npz')


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
    check_arguments(args, parser)

    # After the arguments: loading the stack takes seconds, `-h` and mistakes should not.
    from mmps.apis.testing import evaluate_again, keep_predictions, test_model

    cfg = load_config(args)
    if args.out is not None:
        try:
            keep_predictions(cfg, args.checkpoint, args.out)
        except ValueError as error:
            parser.error(f'--out: {error}')
    if args.show or args.show_dir:
        enable_drawing(cfg, args)
    try:
        if args.predictions is not None:
            evaluate_again(cfg, args.predictions)
        else:
            test_model(cfg, args.checkpoint)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error


if __name__ == '__main__':
    main()
