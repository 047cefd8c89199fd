"""Count the parameters and FLOPs of a two-stage detector, part by part.

The model is run once on an image of the given size. Its RoI heads all get the same number of
proposals, by default as many as the test settings let the RPN hand over, so that the figures do
not depend on what an untrained RPN proposes or how many boxes pass a score threshold.

A FLOP is one multiply-add, as fvcore counts and papers print. Operations without a count, such as
RoIAlign, NMS and activations, are named below the table.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.analysis import FlopAnalyzer
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from mmps.arguments import add_config_arguments, load_config
from mmps.benchmark import random_boxes  # also registers the components

# Parts whose own children are listed too.
OPENED = ('roi_head',)


class FixedProposals(nn.Module):
    """A two-stage detector whose RoI head gets given boxes instead of the RPN's.

    Args:
        detector: MMDet's ``TwoStageDetector`` or a subclass.
        boxes: (N, 4) in pixels of the input image.
        image_size: height and width of the input image.
    """

    def __init__(self, detector: nn.Module, boxes: Tensor, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.detector = detector
        self.boxes = boxes
        self.samples = [DetDataSample(metainfo={'img_shape': image_size, 'ori_shape': image_size})]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Image (1, 3, H, W) -> the outputs of RPN and RoI head, flattened."""
        features = self.detector.extract_feat(image)
        outputs = [self.detector.rpn_head(features)]
        proposals = [InstanceData(bboxes=self.boxes)]
        outputs.append(self.detector.roi_head(features, proposals, self.samples))
        return list(_tensors(outputs))


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, (list, tuple)):
        return [tensor for output in outputs for tensor in _tensors(output)]
    return []


def measure(model: nn.Module, *, image_size: tuple[int, int], num_proposals: int) -> dict[str, Any]:
    """Count parameters and FLOPs of a detector and of its parts.

    Args:
        model: MMDet's ``TwoStageDetector`` or a subclass.
        image_size: height and width of the input image, pixels.
        num_proposals: boxes that every stage of the RoI head gets.

    Returns:
        ``params`` and ``flops`` of the whole, ``parts``: the same by name of the part, and
        ``uncounted``: how often each operation without a count was met.

    Raises:
        ValueError: The model has no RPN or no RoI head.
    """
    for part in ('rpn_head', 'roi_head'):
        if getattr(model, part, None) is None:
            raise ValueError(f'{type(model).__name__} has no {part}: not a two-stage detector')
    model.eval()
    # Where they lie does not change FLOPs.
    boxes = random_boxes(num_proposals, image_size, torch.Generator().manual_seed(0))
    analyzer = FlopAnalyzer(
        FixedProposals(model, boxes, image_size), (torch.zeros(1, 3, *image_size),)
    )
    analyzer.unsupported_ops_warnings(False)
    analyzer.uncalled_modules_warnings(False)
    analyzer.tracer_warnings('none')
    with torch.no_grad():
        by_module = analyzer.by_module()
        uncounted = Counter(analyzer.unsupported_ops())
    parts: dict[str, dict[str, int]] = {}
    for name, module in model.named_children():
        for prefix, part in [(name, module)] + [
            (f'{name}.{child}', part) for child, part in module.named_children() if name in OPENED
        ]:
            params = sum(p.numel() for p in part.parameters())
            flops = int(by_module.get(f'detector.{prefix}', 0))
            if params or flops:
                parts[prefix] = {'params': params, 'flops': flops}
    return {
        'params': sum(p.numel() for p in model.parameters()),
        'flops': int(analyzer.total()),
        'image_size': list(image_size),
        'proposals': num_proposals,
        'parts': parts,
        'uncounted': dict(uncounted.most_common()),
    }


def print_report(report: dict[str, Any], title: str) -> None:
    height, width = report['image_size']
    table = Table(title=title, title_justify='left')
    table.add_column('part')
    table.add_column('parameters', justify='right')
    table.add_column('M', justify='right')
    table.add_column('GFLOPs', justify='right')
    for name, part in report['parts'].items():
        indent = '  ' if '.' in name else ''
        _add_row(table, f'{indent}{name}', part)
    table.add_section()
    _add_row(table, 'whole model', report)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(
        f'One image of height {height} and width {width}; every stage of the RoI head on '
        f'{report["proposals"]} proposals. 1 FLOP = 1 multiply-add.'
    )
    names = ', '.join(f'{name} x {count}' for name, count in report['uncounted'].items())
    console.print(f'Without a count: {names or "nothing"}.')


def _add_row(table: Table, name: str, numbers: dict[str, Any]) -> None:
    params, flops = numbers['params'], numbers['flops']
    table.add_row(name, f'{params:,}', f'{params / 1e6:.2f}', f'{flops / 1e9:.2f}')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=(900, 1500),
        metavar=('HEIGHT', 'WIDTH'),
        help='size of the image (default: 900 1500)',
    )
    parser.add_argument(
        '--proposals',
        type=int,
        help="boxes of the RoI heads (default: the config's test_cfg.rpn.max_per_img)",
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    model = MODELS.build(cfg.model)
    report = measure(
        model,
        image_size=tuple(args.shape),
        num_proposals=args.proposals or cfg.model.test_cfg.rpn.max_per_img,
    )
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report, Path(args.config).name)


if __name__ == '__main__':
    main()
