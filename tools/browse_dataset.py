"""Draw what a config's dataset gives after its pipeline: boxes and identities.

    python tools/browse_dataset.py configs/seqnet_r50_prw.py --num 20

The training split is drawn as the model gets it (flipped, resized, ...). Test pipelines load
annotations in pixels of the frame, so the validation and test splits are drawn on the frames.
"""

import argparse
from pathlib import Path

import mmcv
from mmdet.registry import DATASETS, VISUALIZERS
from tqdm import tqdm

from mmps.arguments import add_config_arguments, load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw boxes and identities of a dataset')
    add_config_arguments(parser)
    parser.add_argument(
        '--split', choices=['train', 'val', 'test'], default='train', help='default: train'
    )
    parser.add_argument(
        '--out-dir',
        type=Path,
        help='folder for the pictures; default: work_dirs/browse_dataset/<config>/<split>',
    )
    parser.add_argument('--num', type=int, help='how many pictures to draw; default: all')
    parser.add_argument('--show', action='store_true', help='show each in a window as well')
    parser.add_argument(
        '--show-interval', type=float, default=2, help='seconds that a window stays'
    )
    args = parser.parse_args()
    if args.num is not None and args.num < 1:
        parser.error(f'--num must be at least 1, not {args.num}')
    return args


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)

    dataset = DATASETS.build(cfg[f'{args.split}_dataloader'].dataset)
    visualizer = VISUALIZERS.build(cfg.visualizer)
    visualizer.dataset_meta = dataset.metainfo
    default_dir = Path('work_dirs', 'browse_dataset', Path(args.config).stem, args.split)
    out_dir = args.out_dir or default_dir
    out_dir.mkdir(parents=True, exist_ok=True)

    num = min(args.num or len(dataset), len(dataset))
    for index in tqdm(range(num), unit='image'):
        item = dataset[index]
        data_sample = item['data_samples']
        if args.split == 'train':
            # The pipeline's image is BGR, the visualizer draws on RGB.
            image = item['inputs'].permute(1, 2, 0).numpy()[..., ::-1].copy()
        else:
            image = mmcv.imread(data_sample.img_path, channel_order='rgb')
        # MMDet's visualizer takes plain tensors; a model's data preprocessor unwraps them as well.
        gt_instances = data_sample.gt_instances
        gt_instances.bboxes = getattr(gt_instances.bboxes, 'tensor', gt_instances.bboxes)
        visualizer.add_datasample(
            data_sample.img_name,
            image,
            data_sample,
            draw_pred=False,
            show=args.show,
            wait_time=args.show_interval,
            out_file=str(out_dir / data_sample.img_name),
            step=index,
        )
    print(f'{num} pictures in {out_dir}')


if __name__ == '__main__':
    main()
