"""Analyse a dump of PersonSearchMetric: what is behind its mAP.

    python tools/analysis_tools/analyze_predictions.py prw.npz --out work_dirs/analysis

The folder gets `analysis.json` and `index.html` with pictures and tables: by size of the gallery,
camera pair, height and occlusion of the query, score threshold of the detector, similarity
threshold; and the worst queries, with pictures where the scenes are at hand. What the data do not
allow (camera pairs of one camera) is left out and said.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import mmps
from mmps.evaluation import Predictions, Search, SearchResult, choose_plain_search
from mmps.evaluation import analysis as an
from mmps.visualization import PersonSearchVisualizer, make_examples, write_search_page
from mmps.visualization import analysis_sections as show
from mmps.visualization.analysis_page import Section, write_analysis_page

CUHK_SYSU_SIZES = (50, 100, 500, 1000, 2000, 4000)
RANDOM_SIZES = (50, 100, 200, 500, 1000, 2000, 4000)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'predictions', help='.npz file written by `dump` of mmps.PersonSearchMetric'
    )
    parser.add_argument('--out', required=True, help='folder to write to')
    parser.add_argument(
        '--search',
        metavar='NAME',
        help='which of the searches recorded in the file (default: the first plain one)',
    )
    parser.add_argument('--data-root', help='folder of the data set, if it has moved')
    parser.add_argument(
        '--sizes',
        type=int,
        nargs='+',
        metavar='N',
        help="sizes of galleries (default: CUHK-SYSU's own, or 50 to 4000 drawn at random)",
    )
    parser.add_argument('--seed', type=int, default=0, help='of random galleries (default: 0)')
    parser.add_argument(
        '--false-alarm-rates',
        type=float,
        nargs='+',
        default=[1e-3, 1e-4, 1e-5],
        metavar='RATE',
        help='shares of the wrong pairs that may pass a similarity threshold '
        '(default: 1e-3 1e-4 1e-5)',
    )
    parser.add_argument('--queries', type=int, default=20, help='worst queries (default: 20)')
    parser.add_argument('--topk', type=int, default=5, help='results of each (default: 5)')
    args = parser.parse_args()
    for name in ('queries', 'topk'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1, not {getattr(args, name)}')
    if args.sizes and min(args.sizes) < 1:
        parser.error(f'--sizes must be at least 1, not {min(args.sizes)}')
    if not all(0 <= rate <= 1 for rate in args.false_alarm_rates):
        parser.error(f'--false-alarm-rates must be within 0 and 1, not {args.false_alarm_rates}')
    return args


@dataclass(frozen=True)
class Case:
    """What is analysed: the queries of `predictions`, `inputs` and `result` are the same."""

    args: argparse.Namespace
    name: str
    search: Search
    predictions: Predictions
    inputs: an.SearchInputs
    result: SearchResult

    @property
    def out(self) -> Path:
        """Folder of the page."""
        return Path(self.args.out)

    @property
    def images(self) -> Path:
        """Folder of its pictures."""
        return self.out / 'images'


def make_case(args: argparse.Namespace) -> Case:
    everything = Predictions.load(args.predictions)
    name, search = choose_plain_search(everything, args.search)
    if args.data_root and search.protocol['type'].endswith('cuhk_sysu_protocol'):
        search = replace(search, protocol={**search.protocol, 'data_root': args.data_root})
    predictions, inputs = an.search_inputs(everything, search)
    result = inputs.evaluate(num_ranked=args.topk)
    return Case(args, name, search, predictions, inputs, result)


def by_gallery_size(case: Case) -> tuple[Any, Section]:
    protocol = case.search.protocol
    listed = protocol['type'].endswith('cuhk_sysu_protocol') and not protocol.get('subset')
    if listed:
        curve = an.listed_gallery_curve(listed_galleries(case))
    else:
        curve = an.random_gallery_curve(
            case.inputs, sizes=case.args.sizes or RANDOM_SIZES, seed=case.args.seed
        )
    return curve, show.gallery_size_section(curve, case.images, drawn=not listed)


def listed_galleries(case: Case) -> dict[int, an.SearchInputs]:
    """The search in CUHK-SYSU's own galleries: those asked for, else all that have a file."""
    galleries = {}
    for size in case.args.sizes or CUHK_SYSU_SIZES:
        protocol = {**case.search.protocol, 'gallery_size': size}
        try:
            _, galleries[size] = an.search_inputs(
                case.predictions, replace(case.search, protocol=protocol)
            )
        except FileNotFoundError:
            if case.args.sizes:
                raise
    return galleries


def by_camera_pair(case: Case) -> tuple[Any, Section]:
    cameras = case.predictions.camera_ids
    pairs = an.camera_pairs(
        case.inputs, query_camera=cameras[case.predictions.query_image], image_camera=cameras
    )
    return pairs, show.camera_pairs_section(pairs, case.images)


def by_box_height(case: Case) -> tuple[Any, Section]:
    groups = an.by_box_height(case.result, case.predictions.query_bboxes)
    return groups, show.box_height_section(groups, case.images)


def by_occlusion(case: Case) -> tuple[Any, Section]:
    coverage = an.covered_share(
        case.predictions.query_bboxes,
        case.predictions.query_image,
        pids=case.predictions.query_pids,
        gt_image=case.predictions.gt_image,
        gt_bboxes=case.predictions.gt_bboxes,
        gt_pids=case.predictions.gt_pids,
    )
    groups = an.by_coverage(case.result, coverage)
    return groups, show.coverage_section(groups, case.images)


def by_detection_score(case: Case) -> tuple[Any, Section]:
    sweep = an.score_sweep(
        case.inputs,
        gt_image=case.predictions.gt_image,
        gt_bboxes=case.predictions.gt_bboxes,
    )
    return sweep, show.score_sweep_section(sweep, case.images)


def by_similarity(case: Case) -> tuple[Any, Section]:
    curve = an.similarity_curve(case.inputs)
    points = [
        an.operating_point(curve, false_alarm_rate=rate) for rate in case.args.false_alarm_rates
    ]
    found = {
        f'{rate:g}': point for rate, point in zip(case.args.false_alarm_rates, points, strict=True)
    }
    data = {'curve': an.sampled(curve), 'at_false_alarm_rate': found}
    return data, show.similarity_section(curve, points, case.images)


def worst_queries(case: Case) -> tuple[Any, Section]:
    queries = an.worst_queries(case.result, case.args.queries)
    data = [
        {
            'query_id': case.predictions.query_ids[query],
            'image': str(case.predictions.image_names[case.predictions.query_image[query]]),
            'pid': case.predictions.query_pids[query],
            'ap': case.result.ap[query],
            'num_targets': case.result.num_targets[query],
            'num_found': case.result.num_found[query],
        }
        for query in queries
    ]
    more, missing = None, ''
    try:
        if len(queries):
            write_pictures(case, queries)
            more = 'worst/index.html'
    except (FileNotFoundError, ValueError) as error:
        missing = f' No pictures: {error}'
    section = show.worst_queries_section(case.predictions, case.result, queries, more=more)
    return data, replace(section, text=section.text + missing)


def write_pictures(case: Case, queries: np.ndarray) -> None:
    """Write a page of some queries and their results."""
    examples = make_examples(
        case.predictions,
        case.result,
        queries=queries,
        topk=case.args.topk,
        data_root=case.args.data_root,
    )
    write_search_page(
        case.out / 'worst',
        examples,
        PersonSearchVisualizer(),
        title='Worst queries',
        facts=facts(case),
        metrics={case.name: case.result.summary()},
        selection='those of the lowest average precision (AP), the worst first',
    )


PARTS: dict[str, Callable[[Case], tuple[Any, Section]]] = {
    'by_gallery_size': by_gallery_size,
    'by_camera_pair': by_camera_pair,
    'by_box_height': by_box_height,
    'by_occlusion': by_occlusion,
    'by_detection_score': by_detection_score,
    'by_similarity': by_similarity,
    'worst_queries': worst_queries,
}


def facts(case: Case) -> dict[str, str]:
    """What was analysed, for the heads of the pages."""
    summary = case.result.summary()
    return {
        'predictions': Path(case.args.predictions).name,
        'search': case.name,
        'mAP': f'{100 * summary["mAP"]:.2f} %',
        'top-1': f'{100 * summary["top1"]:.2f} %',
        'queries': f'{case.predictions.num_queries:,}',
        'scenes': f'{case.predictions.num_images:,}',
        'detections': f'{(case.inputs.det_scores >= case.inputs.score_thr).sum():,}',
        'analysed by': f'mmps {mmps.__version__}',
    }


def analyse(case: Case) -> Path:
    """Do all parts, and write them to JSON and to the page."""
    case.images.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = {
        'predictions': str(case.args.predictions),
        'search': {'name': case.name, **an.as_json(case.search)},
        'figures': case.result.summary(),
    }
    sections = []
    for name, part in PARTS.items():
        title = name.replace('_', ' ').capitalize()
        print(f'{title} ...', flush=True)
        try:
            data[name], section = part(case)
        except (FileNotFoundError, ValueError) as error:
            print(f'left out: {error}', file=sys.stderr, flush=True)
            data[name], section = {'left_out': str(error)}, Section(title, str(error))
        sections.append(section)
    text = json.dumps(an.as_json(data), indent=2, allow_nan=False)
    (case.out / 'analysis.json').write_text(text + '\n', encoding='utf-8')
    return write_analysis_page(case.out, sections, title='Analysis of a search', facts=facts(case))


def main() -> None:
    args = parse_args()
    try:
        page = analyse(make_case(args))
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    print(f'Analysis: {page}')


if __name__ == '__main__':
    main()
