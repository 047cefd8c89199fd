"""Person search detectors and batches to measure: of a config, without its weights and data."""

from pathlib import Path
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmps.engine import ChannelsLastHook, CompileHook
from mmps.models import PersonSearchDetector
from mmps.registry import HOOKS, MODELS

PERSON = 0.05, 0.2
"""Width and height of a made-up person, of the image's."""


def build_detector(
    config: Config, device: torch.device, *, checkpoint: str | None = None
) -> PersonSearchDetector:
    """Build the model of a config. Weights that the config names are not loaded.

    Args:
        config: with a ``mmps.PersonSearchDetector``.
        device: where it goes.
        checkpoint: weights; without one they are drawn by chance, the same ones every time.

    Raises:
        ValueError: the model is of another kind.
        RuntimeError: the checkpoint is of another model.
    """
    init_default_scope(config.get('default_scope', 'mmdet'))
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    if not isinstance(model, PersonSearchDetector):
        raise ValueError(
            f'model.type: {type(model).__name__} is no mmps.PersonSearchDetector, whose parts can '
            'be told apart'
        )
    if checkpoint is not None:
        # It would say what it does on stdout, where reports go.
        load_checkpoint(model, checkpoint, map_location='cpu', strict=True, logger='silent')
    return model.to(device)


def prepare_model(model: nn.Module, config: Config) -> list[str]:
    """Do to a model what hooks of its config do before a run: channels last, compilation.

    Returns:
        What could not be compiled; filled when the model is used.
    """
    failures: list[str] = []
    for settings in (*config.get('custom_hooks', ()), *config.get('default_hooks', {}).values()):
        kind = settings and HOOKS.get(settings['type'])
        if kind is ChannelsLastHook:
            HOOKS.build(settings).prepare(model)
        elif kind is CompileHook:
            HOOKS.build(settings).prepare(model, failures.append)
    return failures


def image_size(pipeline: list[ConfigDict]) -> tuple[int, int]:
    """Height and width to which a pipeline resizes the largest images.

    Raises:
        ValueError: it has no ``Resize`` with one ``scale``.
    """
    for transform in pipeline:
        scale = transform.get('scale')
        resizes = transform['type'] in ('Resize', 'mmps.LoadResizedImage')
        if resizes and isinstance(scale, (tuple, list)) and len(scale) == 2:
            width, height = scale
            return int(height), int(width)
    raise ValueError(
        'the pipeline of the config has no Resize(scale=(width, height)): give the size of the '
        'images with --shape'
    )


def data_root(dataset: ConfigDict) -> Path | None:
    """The folder of a config's dataset, also of one in a wrapper; None if it names none."""
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return Path(dataset.data_root) if dataset.get('data_root') else None


def random_batch(
    images: int, size: tuple[int, int], *, persons: int = 5, num_persons: int = 1, seed: int = 0
) -> dict[str, list[Any]]:
    """A batch of noise, as a data loader gives it.

    Args:
        images: how many.
        size: their height and width, pixels.
        persons: boxes an image, at random places, of which every other one has an identity.
        num_persons: identities are drawn from 0..num_persons-1.
        seed: of all that is drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    inputs, samples = [], []
    for _ in range(images):
        inputs.append(
            torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
        )
        pids = torch.randint(num_persons, (persons,), generator=generator)
        pids[::2] = -1
        sample = DetDataSample(
            metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
        )
        sample.gt_instances = InstanceData(
            bboxes=random_boxes(persons, size, generator),
            labels=torch.zeros(persons, dtype=torch.int64),
            pids=pids,
        )
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def random_boxes(number: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Boxes (number, 4) of people's size within an image of this height and width, pixels."""
    extent = torch.tensor([size[1], size[0]])
    sizes = extent * torch.tensor(PERSON)
    corners = torch.rand(number, 2, generator=generator) * (extent - sizes)
    return torch.cat([corners, corners + sizes], dim=1)
