"""What the command lines of the benchmarks of whole models share."""

import argparse

from mmengine.config import Config, DictAction

from .machine import default_device, device_argument


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config, how it is changed, where the model runs, and how figures are printed."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--channels-last', action='store_true', help='convolutions in that memory format'
    )
    parser.add_argument(
        '--device',
        type=device_argument,
        default=default_device(),
        help='cpu or cuda (default: cuda where there is one)',
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help="size of the noise (default: the scale of the config's Resize)",
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, help='override settings of the config'
    )


def load_config(args: argparse.Namespace) -> Config:
    """The config of :func:`add_model_arguments`, with its changes."""
    config = Config.fromfile(args.config)
    if args.cfg_options is not None:
        config.merge_from_dict(args.cfg_options)
    return config
