r"""Evaluate the predictions of a file again, without the model.

    python tools/analysis_tools/eval_predictions.py prw.npz --cbgm 30 4 --cross-camera
    python tools/analysis_tools/eval_predictions.py prw.npz --config configs/seqnet_r50_prw.py
    python tools/analysis_tools/eval_predictions.py sysu.npz --protocol cuhk-sysu \
        --data-root data/CUHK-SYSU --gallery-size 50 100 500 1000 2000 4000 -1

The searches are those of the metric that wrote the file, or those of a config's test_evaluator, or
that of a protocol; the other options change or add to them.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mmps.evaluation import Predictions, Search, evaluate_predictions, recorded_settings
from mmps.evaluation.functional import metrics_table


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('file', help='.npz file, as `dump` of mmps.PersonSearchMetric writes it')
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--config', help='config file: evaluate as its test_evaluator does')
    source.add_argument(
        '--protocol', choices=['prw', 'cuhk-sysu'], help='search by this protocol alone'
    )
    sysu = parser.add_argument_group('with --protocol cuhk-sysu')
    sysu.add_argument('--data-root', help='folder of the data set, for the files of the protocol')
    sysu.add_argument(
        '--gallery-size',
        type=int,
        nargs='+',
        help='sizes of the gallery; -1: the full set (default: 100)',
    )
    sysu.add_argument(
        '--subset', choices=['Occlusion', 'Resolution'], nargs='+', help='search these, too'
    )
    parser.add_argument(
        '--no-cws', action='store_true', help='do not weight similarities by the detection score'
    )
    parser.add_argument(
        '--matching',
        choices=['published', 'strict'],
        help='what counts as found: as in all published figures, or by the book',
    )
    parser.add_argument('--score-thr', type=float, help='lowest score of a detection to search')
    parser.add_argument(
        '--cross-camera', action='store_true', help='search in other cameras only, too'
    )
    parser.add_argument(
        '--cbgm',
        type=int,
        nargs=2,
        metavar=('K1', 'K2'),
        help='re-rank every search by context, too; SeqNet: 30 4 on PRW, 10 3 on CUHK-SYSU',
    )
    parser.add_argument(
        '--reid',
        action='store_true',
        help='search among the annotated boxes, too; their embeddings have to be in the file',
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    return parser


def config_settings(path: str) -> dict[str, Any]:
    """How the test evaluator of a config evaluates."""
    from mmengine.config import Config

    from mmps.evaluation.metrics import metric_settings
    from mmps.registry import METRICS

    metric = METRICS.build(metric_settings(Config.fromfile(path).test_evaluator))
    return {key: getattr(metric, key) for key in ('searches', 'det_score_thr', 'topk')}


def protocol_searches(args: argparse.Namespace) -> dict[str, Search]:
    """One search, or one for each size of the gallery and each subset."""
    if args.protocol == 'prw':
        return {'search': Search(protocol={'type': 'mmps.prw_protocol'})}
    if args.data_root is None:
        raise ValueError('--protocol cuhk-sysu reads annotation/ in --data-root: give that, too')
    protocol = {'type': 'mmps.cuhk_sysu_protocol', 'data_root': args.data_root}
    sizes = args.gallery_size or [100]
    searches = {}
    for size in sizes:
        name = 'search_full' if size == -1 else f'search_{size}'
        name = 'search' if len(sizes) == 1 else name
        searches[name] = Search(protocol={**protocol, 'gallery_size': size})
    for subset in args.subset or ():
        searches[f'search_{subset.lower()}'] = Search(protocol={**protocol, 'subset': subset})
    return searches


def with_variants(searches: Mapping[str, Search], args: argparse.Namespace) -> dict[str, Search]:
    """Searches as the options change them, each followed by its variants."""
    changes: dict[str, Any] = {'cws': False} if args.no_cws else {}
    for name in ('matching', 'score_thr'):
        if getattr(args, name) is not None:
            changes[name] = getattr(args, name)
    variants = {}
    for name, search in searches.items():
        variants[name] = changed = replace(search, **changes)
        if search.gallery == 'ground_truth':
            continue
        if args.cbgm is not None:
            k1, k2 = args.cbgm
            variants[f'{name}_cbgm'] = replace(changed, cbgm={'k1': k1, 'k2': k2})
        if args.reid:
            reid = 'reid' if name == 'search' else f'{name}_reid'
            variants[reid] = replace(changed, gallery='ground_truth')
    if args.cross_camera:
        protocol = {'type': 'mmps.prw_protocol', 'cross_camera': True}
        variants['search_cross_camera'] = Search(protocol=protocol, **changes)
    return variants


def evaluate(args: argparse.Namespace) -> dict[str, float]:
    if args.protocol != 'cuhk-sysu':
        for option in ('data_root', 'gallery_size', 'subset'):
            if getattr(args, option) is not None:
                raise ValueError(f'--{option.replace("_", "-")} goes with --protocol cuhk-sysu')
    predictions = Predictions.load(args.file)
    if args.config is not None:
        settings = config_settings(args.config)
    elif args.protocol is not None:
        settings = {'searches': protocol_searches(args)}
    else:
        settings = recorded_settings(predictions)
    settings['searches'] = with_variants(settings['searches'], args)
    return evaluate_predictions(predictions, **settings)


def main() -> None:
    args = make_parser().parse_args()
    try:
        metrics = evaluate(args)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    print(json.dumps(metrics, indent=2) if args.json else metrics_table(metrics))


if __name__ == '__main__':
    main()
