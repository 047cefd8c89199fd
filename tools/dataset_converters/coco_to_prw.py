"""Turn COCO JSON with identities into a folder in PRW's layout, which other code reads.

python tools/dataset_converters/coco_to_prw.py data/mine/train.json data/mine/test.json \
    --images data/mine --out data/mine_as_prw
"""

import argparse
import sys
from pathlib import Path

from mmps.data_tools import write_prw
from mmps.datasets.coco_files import load_annotations


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('train', type=Path, help='JSON file of the training part')
    parser.add_argument('test', type=Path, help='JSON file of the gallery and its queries')
    parser.add_argument('--images', type=Path, required=True, help='folder of the images')
    parser.add_argument('--out', type=Path, required=True, help='folder to make')
    parser.add_argument('--link', action='store_true', help='link to the images, do not copy them')
    parser.add_argument(
        '--force', action='store_true', help="replace a folder that is in PRW's layout"
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    try:
        train, test = load_annotations(args.train), load_annotations(args.test)
        frames = write_prw(
            args.out, train, test, images=args.images, link=args.link, force=args.force
        )
    except (OSError, ValueError) as error:
        print(f'coco_to_prw: error: {error}', file=sys.stderr)
        return 1
    print(f'{args.out}: {len(frames)} frames')
    ignored = sum(p.ignored for part in (train, test) for s in part.scenes for p in s.persons)
    if ignored:
        print(f'{ignored} ignored regions are left out: PRW has no such thing')
    return 0


if __name__ == '__main__':
    sys.exit(main())
