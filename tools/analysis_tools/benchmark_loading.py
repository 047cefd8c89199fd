"""Time loading and resizing an image, at once (mmps.LoadResizedImage) and one after the other.

    python tools/analysis_tools/benchmark_loading.py --frame 3840 2160 --scale 1500 900

Frames are generated scenes, saved as JPEG. Both ways take turns; the difference of their pixels is
printed, too.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.registry import init_default_scope

from mmps.benchmark import compare, describe_machine, machine_line
from mmps.sample.generate import SampleSpec, generate_sample


def measure(frame: tuple[int, int], scale: tuple[int, int], *, rounds: int) -> dict[str, Any]:
    """The report as JSON: sizes, ``ways`` as :func:`mmps.benchmark.compare` gives them.

    Args:
        frame: width and height of the file.
        scale: that it is to fit in.
        rounds: how often it is loaded in each way.
    """
    init_default_scope('mmdet')
    ways = {
        'one after the other': Compose(
            [dict(type='mmps.LoadImage'), dict(type='Resize', scale=scale, keep_ratio=True)]
        ),
        'at once': Compose([dict(type='mmps.LoadResizedImage', scale=scale)]),
    }
    with tempfile.TemporaryDirectory() as folder:
        width, height = frame
        spec = SampleSpec(
            frames_train=2,
            frames_test=2,
            identities_train=1,
            identities_test=1,
            width=width,
            height=height,
        )
        generate_sample(Path(folder, 'PRW'), spec)
        path = str(next(Path(folder).rglob('*.jpg')))

        images = [load({'img_path': path})['img'].astype(int) for load in ways.values()]
        times = compare(
            {name: lambda load=load: load({'img_path': path}) for name, load in ways.items()},
            rounds=rounds,
            device=torch.device('cpu'),
        )
    return dict(
        frame=frame,
        scale=scale,
        ways=times,
        mean_difference=float(np.abs(images[1] - images[0]).mean()),
        machine=describe_machine(torch.device('cpu')),
    )


def print_report(report: dict[str, Any]) -> None:
    size, scale = ('{} x {}'.format(*report[key]) for key in ('frame', 'scale'))
    print(f'A JPEG of {size} pixels to fit in {scale}:')
    for name, way in report['ways'].items():
        print(
            f'  {name:<20} {way["ms"]:6.1f} ms, {way["ratio"]:.2f} times as fast '
            f'({way["cpu_ratio"]:.2f} by CPU time)'
        )
    print(f'Pixels differ by {report["mean_difference"]:.2f} grey levels in the mean.')
    print(machine_line(report['machine']))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = dict(type=int, nargs=2, metavar=('WIDTH', 'HEIGHT'))
    parser.add_argument('--frame', default=(3840, 2160), help='size of the file', **size)
    parser.add_argument('--scale', default=(1500, 900), help='that it is to fit in', **size)
    parser.add_argument('--rounds', type=int, default=20, help='timed loads (default: 20)')
    parser.add_argument('--json', action='store_true', help='print JSON instead of text')
    args = parser.parse_args()
    if min(*args.frame, *args.scale, args.rounds) < 1:
        parser.error('sizes and --rounds must be at least 1')
    cv2.setNumThreads(0)  # as in the workers of a data loader
    report = measure(tuple(args.frame), tuple(args.scale), rounds=args.rounds)
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report)


if __name__ == '__main__':
    main()
