"""Convert published checkpoints to mmps and back.

python tools/model_converters/convert_checkpoint.py seqnet epoch_16.pth seqnet_mmps.pth
python tools/model_converters/convert_checkpoint.py seqnet seqnet_mmps.pth back.pth --back
"""

import argparse
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmps.converters import (
    check_names,
    oimnet_from_mmps,
    oimnet_to_mmps,
    seqnet_from_mmps,
    seqnet_to_mmps,
)
from mmps.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# Datasets differ in the sizes of the memory, not in names.
METHODS = {
    'oim': ('oim_r50_prw.py', oimnet_to_mmps, oimnet_from_mmps),
    'oimnetpp': ('oimnetpp_r50_prw.py', oimnet_to_mmps, oimnet_from_mmps),
    'oimnetppp': ('oimnetppp_r50_prw.py', oimnet_to_mmps, oimnet_from_mmps),
    'seqnet': ('seqnet_r50_prw.py', seqnet_to_mmps, seqnet_from_mmps),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('method', choices=sorted(METHODS))
    parser.add_argument('source', type=Path, help='checkpoint to read')
    parser.add_argument('target', type=Path, help='checkpoint to write')
    parser.add_argument('--back', action='store_true', help="from mmps to the authors' keys")
    return parser.parse_args()


def names_of_model(config: str) -> list[str]:
    init_default_scope('mmdet')
    return list(MODELS.build(Config.fromfile(CONFIGS / config).model).state_dict())


def main() -> None:
    args = parse_args()
    if not args.source.is_file():
        sys.exit(f'{args.source}: no such checkpoint.')
    config, forward, back = METHODS[args.method]
    names = names_of_model(config)
    checkpoint = torch.load(args.source, map_location='cpu')
    try:
        if args.back:
            state_dict = checkpoint.get('state_dict', checkpoint)
            check_names(state_dict, names)
            result = {'model': back(state_dict)}
        else:
            converted = forward(checkpoint.get('model', checkpoint))
            check_names(converted.state_dict, names)
            result = {'state_dict': converted.state_dict, 'meta': {}}
            for key, number in converted.unread.items():
                print(f'not carried, never read by the authors: {number} values of {key}')
    except (KeyError, ValueError) as error:
        sys.exit(f'{args.source}: {error.args[0]}')
    torch.save(result, args.target)
    print(f'wrote {args.target}')


if __name__ == '__main__':
    main()
