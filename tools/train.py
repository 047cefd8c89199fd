"""Train a person search model."""

import argparse

from _cli import add_common_arguments, check_checkpoint, load_config, parse_args
from mmengine.config import Config


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate with the batch size, from the config's "
        'auto_scale_lr.base_batch_size',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint, without a value from the latest one in the work folder',
    )
    return parser


def enable_amp(cfg: Config) -> None:
    """Switch mixed precision on.

    Raises:
        ValueError: The optimiser wrapper of the config cannot be replaced by AMP's.
    """
    wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if wrapper not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(f'--amp does not work with optim_wrapper.type={wrapper!r}')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def enable_auto_scale_lr(cfg: Config) -> None:
    """Switch the scaling of the learning rate on.

    Raises:
        ValueError: The config does not say which batch size its learning rate is for.
    """
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise ValueError(
            '--auto-scale-lr: the config does not say which batch size its learning rate is for; '
            'add auto_scale_lr=dict(base_batch_size=N)'
        )
    cfg.auto_scale_lr.enable = True


def main() -> None:
    parser = make_parser()
    args = parse_args(parser)
    if args.resume not in (None, 'auto'):
        check_checkpoint(args.resume, parser)

    # After the arguments: loading the stack takes seconds, `-h` and mistakes should not.
    from mmengine.runner import Runner

    import mmps  # noqa: F401  registers its components

    cfg = load_config(args)
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        enable_auto_scale_lr(cfg)
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    main()
