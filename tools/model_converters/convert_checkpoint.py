"""Convert published checkpoints to mmps and back.

python tools/model_converters/convert_checkpoint.py seqnet epoch_16.pth seqnet_mmps.pth
python tools/model_converters/convert_checkpoint.py seqnet seqnet_mmps.pth back.pth --back
"""

import argparse
import sys
from pathlib import Path

import torch

import mmps  # noqa: F401  (allow-lists what MMEngine's checkpoints contain)
from mmps.converters import seqnet_from_mmps, seqnet_to_mmps

METHODS = {'seqnet': (seqnet_to_mmps, seqnet_from_mmps)}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('method', choices=sorted(METHODS))
    parser.add_argument('source', type=Path, help='checkpoint to read')
    parser.add_argument('target', type=Path, help='checkpoint to write')
    parser.add_argument('--back', action='store_true', help="from mmps to the authors' keys")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not args.source.is_file():
        sys.exit(f'{args.source}: no such checkpoint.')
    forward, back = METHODS[args.method]
    checkpoint = torch.load(args.source, map_location='cpu')
    try:
        if args.back:
            result = {'model': back(checkpoint.get('state_dict', checkpoint))}
        else:
            converted = forward(checkpoint.get('model', checkpoint))
            result = {'state_dict': converted.state_dict, 'meta': {}}
            for key, number in converted.unread.items():
                print(f'not carried, never read by the authors: {number} values of {key}')
    except (KeyError, ValueError) as error:
        sys.exit(f'{args.source}: {error.args[0]}')
    torch.save(result, args.target)
    print(f'wrote {args.target}')


if __name__ == '__main__':
    main()
