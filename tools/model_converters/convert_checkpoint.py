"""Convert published checkpoints to mmps and back.

python tools/model_converters/convert_checkpoint.py seqnet epoch_16.pth seqnet_mmps.pth
python tools/model_converters/convert_checkpoint.py seqnet seqnet_mmps.pth back.pth --back
"""

import argparse
import sys
from pathlib import Path

from mmps.converters import METHODS, convert_checkpoint


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('method', choices=sorted(METHODS))
    parser.add_argument('source', type=Path, help='checkpoint to read')
    parser.add_argument('target', type=Path, help='checkpoint to write')
    parser.add_argument('--back', action='store_true', help="from mmps to the authors' keys")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        unread = convert_checkpoint(args.method, args.source, args.target, back=args.back)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    for key, number in unread.items():
        print(f'not carried, never read by the authors: {number} values of {key}')
    print(f'wrote {args.target}')


if __name__ == '__main__':
    main()
