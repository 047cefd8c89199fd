"""Scaled-down copies of the configs, and mini-batches for them.

The configs under ``configs/`` are what is tested; here only sizes change, and weights from the
network are left out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpretrain.models.backbones import ConvNeXt

from mmps.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
NUM_PERSONS = 3
HEIGHT, WIDTH = 96, 160


def without_downloads(node: Any) -> None:
    """Remove every ``init_cfg`` that loads a checkpoint, in place."""
    for child in _children(node):
        init_cfg = child.get('init_cfg') if isinstance(child, dict) else None
        if isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained':
            del child['init_cfg']
        without_downloads(child)


def scale_down(config: Config) -> Config:
    """Make a config small, in place: narrow stages, few RoIs, small images, one search drawn."""
    model = config.model
    without_downloads(model)
    widths = _shrink_stages(model)
    _replace_widths(model, widths)
    model.roi_head.bbox_roi_extractor.roi_layer.output_size = 4
    model.roi_head.loss_reid.update(num_persons=NUM_PERSONS, queue_size=4)
    config.merge_from_dict(
        {
            'model.train_cfg.rpn.sampler.num': 32,
            'model.train_cfg.rpn_proposal.nms_pre': 100,
            'model.train_cfg.rpn_proposal.max_per_img': 20,
            'model.train_cfg.rcnn.sampler.num': 12,
            'model.test_cfg.rpn.nms_pre': 100,
            'model.test_cfg.rpn.max_per_img': 12,
        }
    )
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False, pin_memory=False)
        for transform in loader.dataset.pipeline:
            if transform['type'] == 'Resize':
                transform['scale'] = (WIDTH, HEIGHT)
    for hook in config.get('custom_hooks', ()):
        if hook['type'] == 'mmps.SearchVisualizationHook':
            hook.update(num_queries=1, topk=2)
    return config


def scaled_config(name: str, root: Path | None = None) -> Config:
    """``configs/<name>.py`` scaled down, with its data in a folder, or in one that is not there."""
    config = scale_down(Config.fromfile(CONFIGS / f'{name}.py'))
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = 'nowhere' if root is None else str(root)
    return config


def _shrink_stages(model: Any) -> dict[int, int]:
    """Make the backbone and its last stage small; returns old widths to new ones."""
    if model.backbone.type == 'ResNet':
        for child in _children(model, deep=True):
            if isinstance(child, dict) and child.get('type') in ('ResNet', 'ResLayer'):
                child['depth'] = 18
        return {1024: 256, 2048: 512}
    assert model.backbone.type == 'mmpretrain.ConvNeXt', model.backbone.type
    widths: dict[int, int] = {}
    for child in _children(model, deep=True):
        if isinstance(child, dict) and str(child.get('type')).endswith(('ConvNeXt', 'Stage')):
            arch = child.get('arch')
            if arch is None:
                continue
            channels = (ConvNeXt.arch_settings[arch] if isinstance(arch, str) else arch)['channels']
            small = [8 * 2**i for i in range(len(channels))]
            widths |= dict(zip(channels, small, strict=True))
            child['arch'] = dict(depths=[1] * len(small), channels=small)
    return widths


def _replace_widths(model: Any, widths: dict[int, int]) -> None:
    for child in _children(model, deep=True):
        if not isinstance(child, dict):
            continue
        for key in ('in_channels', 'feat_channels', 'out_channels'):
            value = child.get(key)
            if isinstance(value, int):
                child[key] = widths.get(value, value)
            elif value is not None:
                child[key] = [widths.get(v, v) for v in value]


def _children(node: Any, *, deep: bool = False) -> list[Any]:
    values = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    children = list(values)
    return children + [c for child in children for c in _children(child, deep=True)] * deep


def selections(model: Any) -> list[str]:
    """Where a model's config says which boxes become detections: a key for each stage."""
    rcnn = 'test_cfg.rcnn'
    return [f'{rcnn}.stage1', f'{rcnn}.stage2'] if 'stage1' in model.test_cfg.rcnn else [rcnn]


def in_every_selection(name: str, **values: Any) -> dict[str, Any]:
    """Overrides for :func:`build_model`: these values in every one of :func:`selections`."""
    model = Config.fromfile(CONFIGS / f'{name}.py').model
    return {
        f'{selection.replace(".", "__")}__{key}': value
        for selection in selections(model)
        for key, value in values.items()
    }


class Recorder:
    """Calls a function and keeps what it got and returned."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.arguments: list[tuple[Any, ...]] = []
        self.results: list[Any] = []

    def __call__(self, *args: Any) -> Any:
        self.arguments.append(args)
        self.results.append(self.function(*args))
        return self.results[-1]


def build_model(name: str, **overrides: Any) -> Any:
    """The scaled-down model of ``configs/<name>.py``, with random weights that are always the same.

    Args:
        name: config without ``.py``.
        overrides: settings of the model; ``__`` in a name stands for a dot.
    """
    init_default_scope('mmdet')
    config = scale_down(Config.fromfile(CONFIGS / f'{name}.py'))
    config.merge_from_dict({f'model.{k.replace("__", ".")}': v for k, v in overrides.items()})
    torch.manual_seed(0)
    return MODELS.build(config.model)


def make_batch(
    *pids: Sequence[int], scale_factor: tuple[float, float] = (1.0, 1.0), seed: int = 0
) -> dict[str, list[Any]]:
    """Noise images of WIDTH x HEIGHT, each with a person for every one of its ``pids``.

    Every image also has its persons as ``query_instances``, in pixels of the original image, of
    which the network's input has ``scale_factor`` (x, y) as many.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs, samples = [], []
    factors = torch.tensor([*scale_factor, *scale_factor])
    for of_image in pids:
        image = torch.randint(0, 256, (3, HEIGHT, WIDTH), generator=generator, dtype=torch.uint8)
        boxes = torch.tensor([[10.0 + 45 * i, 8, 45 + 45 * i, 88] for i in range(len(of_image))])
        boxes = boxes.reshape(-1, 4)
        ids = torch.tensor(list(of_image), dtype=torch.int64)
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(HEIGHT, WIDTH),
                ori_shape=(int(HEIGHT / scale_factor[1]), int(WIDTH / scale_factor[0])),
                scale_factor=scale_factor,
            )
        )
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.zeros_like(ids), pids=ids)
        sample.query_instances = InstanceData(bboxes=boxes / factors)
        inputs.append(image)
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)
