"""Evaluate a dump of PersonSearchMetric again, without the model."""

import argparse
import json

from mmps.evaluation.functional import evaluate_predictions, metrics_table
from mmps.evaluation.predictions import Predictions


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('file', help='.npz file written by `dump` of mmps.PersonSearchMetric')
    parser.add_argument(
        '--no-cws', action='store_true', help='do not weight similarities by the detection score'
    )
    parser.add_argument(
        '--cross-camera', action='store_true', help='also search in other cameras only'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.5, help='lowest score of a detection to search'
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        predictions = Predictions.load(args.file)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    metrics = evaluate_predictions(
        predictions,
        score_thr=args.score_thr,
        cws=not args.no_cws,
        cross_camera=args.cross_camera,
    )
    print(json.dumps(metrics, indent=2) if args.json else metrics_table(metrics))


if __name__ == '__main__':
    main()
