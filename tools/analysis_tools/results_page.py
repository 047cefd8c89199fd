"""Make a page of pictures from a dump of PersonSearchMetric: metrics, training curves, searches.

    python tools/analysis_tools/results_page.py work_dirs/seqnet/test.npz --out work_dirs/page

The folder holds everything that the page needs: open its index.html in a browser. The columns of
its table are named after the files of the predictions; all are evaluated with the settings that
the metric recorded in the first file.
"""

import argparse
from pathlib import Path

import numpy as np

import mmps
from mmps.arguments import config_file, load_config
from mmps.evaluation import (
    Predictions,
    evaluate_predictions,
    first_detection_search,
    recorded_settings,
    search_predictions,
)
from mmps.registry import VISUALIZERS
from mmps.visualization import (
    PersonSearchVisualizer,
    make_examples,
    read_scalars,
    spread_queries,
    write_search_page,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Make a page of metrics, training curves and searches from dumped predictions'
    )
    parser.add_argument(
        'predictions', help='.npz file written by `dump` of mmps.PersonSearchMetric'
    )
    parser.add_argument('--out', required=True, help='folder to write the page to')
    parser.add_argument(
        '--baseline', help='.npz file of another model on the same data, for the table'
    )
    parser.add_argument('--log', help="vis_data/scalars.json of the training run's folder")
    parser.add_argument('--data-root', help='folder of the data set, if it has moved')
    parser.add_argument('--queries', type=int, default=12, help='how many (default: 12)')
    parser.add_argument('--topk', type=int, default=5, help='results of each (default: 5)')
    parser.add_argument(
        '--config', type=config_file, help='config file: its visualizer draws the pictures'
    )
    parser.add_argument('--title', default='Person search results', help='heading of the page')
    args = parser.parse_args()
    for name in ('queries', 'topk'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1, not {getattr(args, name)}')
    return args


def build_visualizer(config: str | None) -> PersonSearchVisualizer:
    """The visualizer of a config, without back ends; the default one without a config."""
    if config is None:
        return PersonSearchVisualizer()
    cfg = load_config(config)
    # MMEngine keeps visualizers by their names; its runner gives one where the config does not.
    settings = {'name': 'visualizer', **cfg.get('visualizer', {}), 'vis_backends': None}
    visualizer = VISUALIZERS.build(settings) if 'type' in settings else None
    if not isinstance(visualizer, PersonSearchVisualizer):
        raise ValueError(f'{config}: the visualizer must be of type mmps.PersonSearchVisualizer')
    return visualizer


def load_columns(predictions: str, baseline: str | None) -> dict[str, Predictions]:
    """Name of a column -> its predictions; the one to show comes first."""
    shown = Predictions.load(predictions)
    if baseline is None:
        return {Path(predictions).stem: shown}
    other = Predictions.load(baseline)
    for name in ('image_names', 'query_ids'):
        if not np.array_equal(getattr(shown, name), getattr(other, name)):
            raise ValueError(
                f'{baseline} and {predictions} differ in {name}: they are not of the same data'
            )
    if Path(predictions).stem == Path(baseline).stem:
        return {predictions: shown, baseline: other}
    return {Path(predictions).stem: shown, Path(baseline).stem: other}


def make_page(args: argparse.Namespace) -> Path:
    visualizer = build_visualizer(args.config)
    columns = load_columns(args.predictions, args.baseline)
    predictions = next(iter(columns.values()))
    settings = recorded_settings(predictions)
    search = search_predictions(
        predictions, first_detection_search(settings['searches']), num_ranked=args.topk
    )
    facts = {
        'model': Path(args.config).stem if args.config else '',
        'scenes': f'{predictions.num_images:,}',
        'persons': f'{len(predictions.gt_pids):,}',
        'queries': f'{predictions.num_queries:,}',
        'evaluated by': f'mmps {mmps.__version__}',
    }
    return write_search_page(
        args.out,
        make_examples(
            predictions,
            search,
            queries=spread_queries(search.ap, args.queries),
            topk=args.topk,
            data_root=args.data_root,
        ),
        visualizer,
        title=args.title,
        facts={name: value for name, value in facts.items() if value},
        metrics={
            name: evaluate_predictions(column, **settings) for name, column in columns.items()
        },
        selection='equally spaced over all queries sorted by average precision (AP): the best '
        'search comes first, the worst last',
        log=read_scalars(args.log) if args.log else None,
    )


def main() -> None:
    args = parse_args()
    try:
        page = make_page(args)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    print(f'Results page: {page}')


if __name__ == '__main__':
    main()
