"""Split COCO JSON with identities into train.json and test.json, nobody in both.

    python tools/dataset_converters/split_by_identity.py data/mine/all.json --num-train 277

Images that show persons of both parts are in neither; who is seen together goes into the same
part as far as possible. Queries are drawn, one for every person of the test part and camera,
unless the file has some.
"""

import argparse
import sys
from pathlib import Path

from mmps.data_tools import split_by_identity, write_coco
from mmps.datasets.coco_files import load_annotations


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='JSON file to split')
    parser.add_argument('--out-dir', type=Path, help='default: the folder of the source')
    parser.add_argument(
        '--num-train', type=int, help='wanted identities for training; default: half of them'
    )
    parser.add_argument(
        '--slack',
        type=int,
        help='by how many identities that number may be missed to drop fewer images; default: a '
        'twentieth of all identities',
    )
    parser.add_argument('--query-seed', type=int, default=0, help='default: 0')
    parser.add_argument('--force', action='store_true', help='replace files that are there')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    out_dir = args.out_dir or args.source.parent
    try:
        annotations = load_annotations(args.source)
        num = len(annotations.person_ids())
        split = split_by_identity(
            annotations,
            num // 2 if args.num_train is None else args.num_train,
            slack=num // 20 if args.slack is None else args.slack,
            query_seed=args.query_seed,
        )
        files = {out_dir / 'train.json': split.train, out_dir / 'test.json': split.test}
        write_coco(files, force=args.force)
    except (OSError, ValueError) as error:
        print(f'split_by_identity: error: {error}', file=sys.stderr)
        return 1
    for path, part in files.items():
        print(f'{path}: {len(part.scenes)} images, {len(part.person_ids())} identities')
    lost = annotations.person_ids() - split.train.person_ids() - split.test.person_ids()
    print(
        f'{len(split.dropped)} of {len(annotations.scenes)} images show persons of both parts and '
        f'are dropped; {len(lost)} identities are in no other image'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
