"""What the command lines of the benchmarks of whole models share."""

import argparse

from mmps.arguments import add_config_arguments

from .machine import default_device, device_argument


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config, how it is changed, where the model runs, and how figures are printed."""
    add_config_arguments(parser)
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
