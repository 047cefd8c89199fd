"""Turn a dataset into COCO JSON with identities, the format of docs/custom_data.md.

    python tools/dataset_converters/to_coco.py prw data/PRW-v16.04.20        # train.json, test.json
    python tools/dataset_converters/to_coco.py cuhk-sysu data/CUHK-SYSU      # train.json, test.json
    python tools/dataset_converters/to_coco.py mot data/MOT17/train --sequences '*-FRCNN' --every 10
    python tools/dataset_converters/to_coco.py tracks data/my_videos         # all.json

Images stay where they are: file names in the JSON are relative to the folder of the dataset. MOT
Challenge and tracks give one file, all.json; split_by_identity.py makes train.json and test.json
of it.
"""

import argparse
import sys
from pathlib import Path

from mmps.data_tools import convert_to_coco
from mmps.data_tools.tracks import LAYOUT


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    formats = parser.add_subparsers(dest='format', required=True, metavar='FORMAT')
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('source', type=Path, help='folder of the dataset')
    common.add_argument('--out-dir', type=Path, help='for the JSON files; default: the source')
    common.add_argument('--force', action='store_true', help='replace JSON files that are there')
    for name, what in (('prw', 'PRW-v16.04.20 as published'), ('cuhk-sysu', 'CUHK-SYSU')):
        published = formats.add_parser(name, parents=[common], help=what)
        published.add_argument(
            '--without-images',
            action='store_true',
            help='images need not be there; the JSON then does not say how large they are',
        )
    video = argparse.ArgumentParser(add_help=False)
    video.add_argument(
        '--every', type=int, default=1, metavar='N', help='take every Nth frame; default: all'
    )
    mot = formats.add_parser('mot', parents=[common, video], help='MOT Challenge')
    mot.add_argument('--sequences', default='*', help="pattern of their names, e.g. '*-FRCNN'")
    mot.add_argument(
        '--min-visibility',
        type=float,
        default=0.1,
        help='persons of whom less is visible become ignored regions; default: 0.1',
    )
    formats.add_parser(
        'tracks',
        parents=[common, video],
        help='sequences of frames and trajectories',
        description=LAYOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    args = parser.parse_args()
    if not args.source.is_dir():
        parser.error(f'there is no folder {args.source}')
    if getattr(args, 'every', 1) < 1:
        parser.error(f'--every must be at least 1, not {args.every}')
    return args


def main() -> int:
    args = vars(parse_args())
    try:
        files = convert_to_coco(args.pop('format'), args.pop('source'), **args)
    except (OSError, ValueError) as error:
        print(f'to_coco: error: {error}', file=sys.stderr)
        return 1
    for path, part in files.items():
        print(f'{path}: {len(part.scenes)} images, {len(part.person_ids())} identities')
    return 0


if __name__ == '__main__':
    sys.exit(main())
