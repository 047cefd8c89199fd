"""Images as users give them: paths, folders, addresses of files, arrays."""

import copy
import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from mmdet.datasets.transforms import LoadImageFromNDArray, Resize
from mmengine.dataset import Compose
from mmengine.fileio import get_file_backend, isdir, join_path, list_dir_or_file

from mmps.datasets.loading import LoadImage, LoadResizedImage

Image: TypeAlias = str | os.PathLike[str] | np.ndarray
"""A file, its address, or a BGR array (H, W, 3) of uint8, as OpenCV reads it."""

_SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.tif', '.tiff', '.webp')
_LOADERS = ('LoadImageFromFile', 'LoadImage', 'LoadResizedImage')
_ANNOTATIONS = ('LoadAnnotations', 'LoadPersonSearchAnnotations')


def list_images(inputs: Image | Sequence[Image]) -> list[str | np.ndarray]:
    """Paths and arrays of what may be one image, a folder or a sequence of both.

    Args:
        inputs: the images of a folder are taken in the order of their names, those of folders in
            it are not.

    Raises:
        ValueError: a folder has no images, or an input is something else; the message names it.
    """
    if isinstance(inputs, str | os.PathLike | np.ndarray):
        inputs = [inputs]
    images: list[str | np.ndarray] = []
    for entry in inputs:
        if isinstance(entry, np.ndarray):
            images.append(entry)
        elif isinstance(entry, str | os.PathLike):
            images += _files_of(os.fspath(entry))
        else:
            raise ValueError(
                f'images are paths, folders, addresses or arrays, not {type(entry).__name__}'
            )
    return images


def _files_of(path: str) -> list[str]:
    try:
        backend = get_file_backend(path)
    except KeyError as error:
        raise ValueError(f'{path}: MMEngine has no back end for addresses of this kind') from error
    # That of HTTP knows no folders.
    if not hasattr(backend, 'isdir') or not isdir(path):
        return [path]
    suffixes = (*_SUFFIXES, *(suffix.upper() for suffix in _SUFFIXES))
    names = sorted(list_dir_or_file(path, list_dir=False, suffix=suffixes))
    if not names:
        raise ValueError(f'{path}: no image in this folder ({", ".join(_SUFFIXES)})')
    return [join_path(path, name) for name in names]


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image from a file or an address.

    Returns:
        BGR, (H, W, 3) uint8.

    Raises:
        ValueError: it cannot be read; the message names it.
    """
    loaded = LoadImage().transform({'img_path': os.fspath(path)})
    assert loaded is not None  # which only `skip_unreadable` would allow
    image: np.ndarray = loaded['img']
    return image


def check_boxes(bboxes: Any, size: tuple[int, int]) -> np.ndarray:
    """Boxes, or one box, as (N, 4) float32, each of which has a part within the image.

    Args:
        bboxes: x1, y1, x2, y2 in pixels, (N, 4) or (4,).
        size: height and width of the image.

    Raises:
        ValueError: one is no box or lies outside of the image; the message has its numbers.
    """
    boxes = np.asarray(bboxes, dtype=np.float32)
    if boxes.shape == (4,):
        boxes = boxes[None]
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f'a box is x1 y1 x2 y2; got an array of the shape {boxes.shape}')
    height, width = size
    low, high = boxes[:, :2], boxes[:, 2:]
    good = np.isfinite(boxes).all(1) & (low < high).all(1) & (high > 0).all(1)
    good &= (low < (width, height)).all(1)
    if not good.all():
        wrong = ' '.join(f'{value:g}' for value in boxes[~good][0])
        raise ValueError(
            f'the box {wrong} is not x1 y1 x2 y2, in pixels, of a part of the image, which is '
            f'{width} x {height}'
        )
    return boxes


def test_steps(cfg: Any) -> list[dict[str, Any]]:
    """The steps of a config's test pipeline, without those that load annotations.

    Args:
        cfg: config with a ``test_dataloader``, of whose dataset the data need not be there.

    Raises:
        ValueError: it has none that starts with loading an image.
    """
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    steps = [copy.deepcopy(dict(step)) for step in dataset.get('pipeline', [])]
    if not steps or _name(steps[0]) not in _LOADERS:
        raise ValueError(
            'the config has no test_dataloader.dataset.pipeline that starts with '
            f'{" or ".join(_LOADERS)}'
        )
    return [step for step in steps if _name(step) not in _ANNOTATIONS]


def make_pipeline(steps: Sequence[dict[str, Any]]) -> Compose:
    """A pipeline that takes a path, an address or an array.

    Args:
        steps: of :func:`test_steps`.
    """
    return Compose([ImageLoader(steps[0]), *steps[1:]])


def _name(step: dict[str, Any]) -> str:
    kind = step['type']
    return (kind if isinstance(kind, str) else kind.__name__).rpartition('.')[2]


class ImageLoader:
    """First step of a pipeline: loads an image from wherever it is.

    Args:
        step: settings of MMCV's ``LoadImageFromFile``, ``mmps.LoadImage`` or
            ``mmps.LoadResizedImage``.
    """

    def __init__(self, step: dict[str, Any]) -> None:
        settings = {k: v for k, v in step.items() if k not in ('type', 'skip_unreadable')}
        self.from_array = [LoadImageFromNDArray(to_float32=settings.get('to_float32', False))]
        self.from_file: LoadImage
        if _name(step) == 'LoadResizedImage':
            self.from_file = LoadResizedImage(**settings)
            self.from_array.append(Resize(scale=settings['scale'], keep_ratio=True))
        else:
            self.from_file = LoadImage(**settings)

    def __call__(self, image: str | np.ndarray) -> dict[str, Any] | None:
        """Load one image.

        Raises:
            ValueError: it cannot be read or is no image; the message names it.
        """
        if isinstance(image, str):
            return self.from_file({'img_path': image})
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ValueError(
                'an array that is an image has the shape (height, width, 3) and the type uint8, '
                f'in the order blue, green, red; got {image.shape}, {image.dtype}'
            )
        results = {'img': image}
        for transform in self.from_array:
            results = transform(results)
        return results
