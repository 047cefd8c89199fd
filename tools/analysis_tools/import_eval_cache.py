"""Turn features that SeqNet's or OIMNet++'s code has cached into predictions of mmps.

    python tools/analysis_tools/import_eval_cache.py configs/seqnet_r50_prw.py \
        exp_prw/eval_cache/eval_cache.pth seqnet.npz

The file is then evaluated by eval_predictions.py, like any other; it records the searches of the
config's test_evaluator, with similarities weighted by the detection score if they were. The data
set is that of the config's test_dataloader; where its frames are not at hand, add
`--cfg-options test_dataloader.dataset.check_frames=False`.
"""

import argparse

from mmdet.registry import DATASETS

from mmps.arguments import add_config_arguments, load_config
from mmps.evaluation.eval_cache import load_eval_cache, predictions_from_eval_cache
from mmps.evaluation.metrics import metric_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    add_config_arguments(parser, help='config file: its test set is the one of the features')
    parser.add_argument('cache', help="eval_cache.pth, written by the authors' code")
    parser.add_argument('out', help='.npz file to write')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    try:
        cache = load_eval_cache(args.cache)
        dataset = DATASETS.build({**cfg.test_dataloader.dataset, 'pipeline': []})
        items = [dataset.get_data_info(index) for index in range(len(dataset))]
        searches = metric_settings(cfg.test_evaluator).get('searches', {'search': {}})
        try:
            predictions = predictions_from_eval_cache(cache, items, searches=searches)
        except ValueError as error:
            raise ValueError(f'{args.cache}: {error}') from error
        predictions.save(args.out)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    print(
        f'wrote {args.out}: {predictions.num_images} images, {len(predictions.det_scores)} '
        f'detections, {predictions.num_queries} queries'
    )


if __name__ == '__main__':
    main()
