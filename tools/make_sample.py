"""Make a sample for person search: street scenes in PRW's layout, drawn from a seed."""

import argparse
import os
import signal
import sys
from pathlib import Path

from mmps.sample import SampleSpec, generate_sample


def _image_size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(side) for side in text.lower().split('x'))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not like 480x288') from None
    return width, height


def parse_args() -> argparse.Namespace:
    default = SampleSpec()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=Path('data/sample'), help='folder to make')
    for name, what in (
        ('frames_train', 'training frames'),
        ('frames_test', 'test (gallery) frames'),
        ('identities_train', 'identities of the training frames'),
        ('identities_test', 'identities of the test frames'),
        ('cameras', 'cameras, each with its own background, light and colour cast'),
        ('queries', 'most queries of one test identity'),
        ('seed', 'seed; the same arguments give the same files'),
    ):
        option = f'--{name.replace("_", "-")}'
        parser.add_argument(option, type=int, default=getattr(default, name), help=what)
    parser.add_argument(
        '--image-size', type=_image_size, default=f'{default.width}x{default.height}', help='WxH'
    )
    parser.add_argument(
        '--workers', type=int, default=len(os.sched_getaffinity(0)), help='processes'
    )
    parser.add_argument(
        '--force', action='store_true', help='replace a sample made with other arguments'
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    # Being terminated cleans up as an exception does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        spec = SampleSpec(
            frames_train=args.frames_train,
            frames_test=args.frames_test,
            identities_train=args.identities_train,
            identities_test=args.identities_test,
            width=args.image_size[0],
            height=args.image_size[1],
            cameras=args.cameras,
            seed=args.seed,
            queries=args.queries,
        )
        made = generate_sample(args.out, spec, workers=args.workers, force=args.force)
    except (OSError, ValueError) as error:
        print(f'make_sample: error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('make_sample: interrupted; start it again to make the sample', file=sys.stderr)
        return 130
    done = 'made' if made else 'already there, made with the same arguments: nothing to do'
    print(f'{args.out}: {done}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
