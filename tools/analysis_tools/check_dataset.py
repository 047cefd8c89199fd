"""Say what is wrong with a dataset, line by line, what it holds, and how long its tail is.

    python tools/analysis_tools/check_dataset.py configs/seqxt_convnext_b_prw.py
    python tools/analysis_tools/check_dataset.py --train data/mine/train.json \
        --test data/mine/test.json --images data/mine --picture identities.png

Everything that is wrong is listed, not only the first. The status is 1 if there are errors;
warnings are unusual, not wrong.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmps.arguments import add_cfg_options, config_file, load_config
from mmps.data_tools import (
    Problem,
    annotations_of,
    boxes_per_identity,
    check_images,
    dataset_statistics,
    identity_problems,
    scene_problems,
    split_problems,
    statistics_table,
)
from mmps.datasets import CocoPersonSearchDataset, PersonSearchDataset
from mmps.datasets.annotations import Annotations, draw_queries
from mmps.datasets.coco_checks import check_content
from mmps.datasets.coco_files import parse_content, read_json
from mmps.registry import DATASETS
from mmps.visualization.identity_distribution import draw_identity_distribution


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'config', nargs='?', type=config_file, help='config whose datasets to check'
    )
    parser.add_argument('--train', type=Path, help='or JSON file of the training part')
    parser.add_argument('--test', type=Path, help='and/or of the gallery with its queries')
    parser.add_argument(
        '--images', type=Path, help='folder of the images of --train and --test; default: theirs'
    )
    parser.add_argument(
        '--skip-images', action='store_true', help='check the annotations, not the images'
    )
    parser.add_argument('--picture', type=Path, help='PNG file for the distribution of identities')
    add_cfg_options(parser)
    args = parser.parse_args()
    files = [path for path in (args.train, args.test) if path is not None]
    if bool(files) == (args.config is not None):
        parser.error('give a config, or --train and/or --test')
    return args


@dataclass
class Part:
    """The training or the test part: what could be read of it, and what could not."""

    name: str
    annotations: Annotations
    folder: Path
    problems: list[str]


def part_of_json(
    name: str,
    path: Path,
    folder: Path,
    *,
    classes: Sequence[str] = ('person',),
    query_seed: int = 0,
) -> Part:
    content, problems = check_content(read_json(path), classes=classes)
    annotations = parse_content(content, classes=classes)
    if name == 'test' and annotations.queries is None:
        annotations.queries = draw_queries(annotations, seed=query_seed)
    return Part(name, annotations, folder, [f'{path}: {problem}' for problem in problems])


def parts_of_config(args: argparse.Namespace) -> Iterator[Part]:
    cfg = load_config(args.config, args.cfg_options)
    for name in ('train', 'test'):
        # Nothing is filtered in test mode; missing images are looked for here.
        settings = dict(lazy_init=True, test_mode=True, check_frames=False, pipeline=[])
        dataset = DATASETS.build({**cfg[f'{name}_dataloader'].dataset, **settings})
        if isinstance(dataset, CocoPersonSearchDataset):
            # The file itself, since the dataset stops where something is wrong.
            yield part_of_json(
                name,
                Path(dataset.ann_file),
                Path(dataset.data_prefix['img_path']),
                classes=dataset.metainfo['classes'],
                query_seed=dataset.query_seed,
            )
        elif isinstance(dataset, PersonSearchDataset):
            yield Part(name, annotations_of(dataset), Path(dataset.data_root), [])
        else:
            raise ValueError(
                f'{name}_dataloader: {type(dataset).__name__} is not for person search'
            )


def problems_of(part: Part, *, skip_images: bool) -> Iterator[Problem]:
    """Problems of one part; sizes of images are added to its annotations."""
    yield from (Problem(problem) for problem in part.problems)
    if not skip_images:
        part.annotations, problems = check_images(part.annotations, part.folder)
        yield from (Problem(problem) for problem in problems)
    yield from scene_problems(part.annotations)
    yield from identity_problems(part.annotations, training=part.name == 'train')


def main() -> int:
    args = parse_args()
    errors = warnings = 0

    def report(name: str, problems: Iterable[Problem]) -> None:
        nonlocal errors, warnings
        for problem in problems:
            print(f'{name}: {problem}')
            errors += problem.severe
            warnings += not problem.severe

    try:
        if args.config is not None:
            parts = list(parts_of_config(args))
        else:
            parts = [
                part_of_json(name, path, args.images or path.parent)
                for name, path in (('train', args.train), ('test', args.test))
                if path is not None
            ]
    except (OSError, ValueError) as error:
        print(f'check_dataset: error: {error}', file=sys.stderr)
        return 1
    for part in parts:
        report(part.name, problems_of(part, skip_images=args.skip_images))
    annotations = {part.name: part.annotations for part in parts}
    if len(parts) == 2:
        report('both', split_problems(annotations['train'], annotations['test']))
    print(statistics_table({name: dataset_statistics(part) for name, part in annotations.items()}))
    counts = {name: boxes_per_identity(part) for name, part in annotations.items()}
    if args.picture is not None and any(counts.values()):
        args.picture.parent.mkdir(parents=True, exist_ok=True)
        draw_identity_distribution(counts, args.picture)
        print(f'distribution of identities: {args.picture}')
    print(f'{errors} errors, {warnings} warnings')
    return 1 if errors else 0


if __name__ == '__main__':
    sys.exit(main())
