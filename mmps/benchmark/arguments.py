"""What the command lines of the benchmarks of whole models share."""

import argparse
import math

from mmps.arguments import add_config_arguments

from .machine import default_device, device_argument


def peak_argument(text: str) -> float:
    """TFLOP/s that a device can do, as ``type`` of an argument.

    Raises:
        ArgumentTypeError: it is no number above 0.
    """
    try:
        peak = float(text)
    except ValueError:
        peak = math.nan
    if not 0 < peak < math.inf:
        raise argparse.ArgumentTypeError(f'{text!r} is no number above 0')
    return peak


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
    parser.add_argument(
        '--peak-tflops',
        type=peak_argument,
        metavar='TFLOPS',
        help='what the device can do at the precision that is measured, by its vendor, in 10^12 '
        'FLOPs a second: also tells what share of it is reached',
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
