"""Scene images for pictures of search results: finding the files, reading and cutting them."""

from pathlib import Path
from typing import TypeAlias

import cv2
import mmcv
import numpy as np
import PIL.Image
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
"""An RGB image, (H, W, 3)."""

Boxes: TypeAlias = NDArray[np.float32]
"""Boxes x1, y1, x2, y2 in pixels, (N, 4), or one box, (4,)."""

_PADDING = (128, 128, 128)


def find_scene(image_path: str | Path, data_root: str | Path | None = None) -> Path:
    """Find the file of a scene, which may have moved since its path was recorded.

    Args:
        image_path: The path as recorded, with the folders of its data set.
        data_root: Folder of the data set on this machine. The longest tail of ``image_path`` that
            exists below it is the file. ``None`` keeps the recorded path.

    Returns:
        Path of an existing file.

    Raises:
        FileNotFoundError: The file is not there; the message names it.
    """
    recorded = Path(image_path)
    if data_root is None:
        if recorded.is_file():
            return recorded
        raise FileNotFoundError(
            f'Scene image {recorded} is missing. If the data have moved, name their folder '
            '(results_page.py --data-root).'
        )
    names = recorded.parts[1:] if recorded.is_absolute() else recorded.parts
    for start in range(len(names)):
        candidate = Path(data_root, *names[start:])
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f'Scene image {recorded} is missing: neither {recorded.name} nor a longer tail of its '
        f'path exists below the data root {data_root}.'
    )


def read_scene(image: Image | str | Path) -> Image:
    """Read a scene; an array is passed through.

    Args:
        image: RGB array (H, W, 3), or the path of an image file.

    Returns:
        RGB array (H, W, 3).

    Raises:
        FileNotFoundError: The file is not there.
        ValueError: The file is not an image.
    """
    if isinstance(image, np.ndarray):
        return image
    pixels = mmcv.imread(str(find_scene(image)))
    if pixels is None:
        raise ValueError(f'Scene image {image} cannot be decoded: it is truncated or no image.')
    return np.ascontiguousarray(pixels[..., ::-1])


def crop_window(boxes: Boxes, image_size: tuple[int, int], *, aspect: float, zoom: float) -> Boxes:
    """Window of a fixed shape around boxes, moved into the image as far as it fits.

    Args:
        boxes: What must be seen, (N, 4), N >= 1.
        image_size: Height and width of the image in pixels.
        aspect: Width of the window over its height.
        zoom: Size of the window over the size of the smallest one that holds the boxes; >= 1.

    Returns:
        The window x1, y1, x2, y2. It reaches beyond the image (equally at both ends) only where it
        is larger than the image.
    """
    x1, y1 = boxes[:, :2].min(axis=0)
    x2, y2 = boxes[:, 2:].max(axis=0)
    height = max(y2 - y1, (x2 - x1) / aspect, 1.0) * zoom
    size = np.array([height * aspect, height])
    limit = np.array(image_size[::-1], dtype=float)
    start = np.array([x1 + x2, y1 + y2]) / 2 - size / 2
    start = np.where(size < limit, np.clip(start, 0, limit - size), (limit - size) / 2)
    return np.concatenate([start, start + size]).astype(np.float32)


def cut_window(image: Image, window: Boxes, *, tile_size: tuple[int, int]) -> Image:
    """Cut a window out of an image and scale it; what lies outside the image becomes grey.

    Args:
        image: RGB array (H, W, 3).
        window: x1, y1, x2, y2 in pixels of the image.
        tile_size: Width and height of the result in pixels.

    Returns:
        RGB array (tile height, tile width, 3).
    """
    size = np.array(image.shape[1::-1])
    outside = int(np.ceil(max(0, *(-window[:2]), *(window[2:] - size))))
    if outside:
        border = (outside,) * 4
        padded = cv2.copyMakeBorder(image, *border, cv2.BORDER_CONSTANT, value=_PADDING)
        image = padded.astype(np.uint8, copy=False)
    # Float32 windows may pass the border by a rounding error, which Pillow refuses.
    box = np.clip(window + outside, 0, np.tile(size + 2 * outside, 2)).tolist()
    scene = PIL.Image.fromarray(image)
    return np.asarray(scene.resize(tile_size, PIL.Image.Resampling.LANCZOS, box=box))


def to_tile(boxes: Boxes, window: Boxes, *, tile_size: tuple[int, int]) -> Boxes:
    """Boxes of an image in pixels of the tile that :func:`cut_window` made of it.

    Args:
        boxes: (N, 4) in pixels of the image.
        window: The window that was cut.
        tile_size: Width and height of the tile in pixels.

    Returns:
        (N, 4), clipped to the tile.
    """
    size = np.array(tile_size, dtype=np.float32)
    scale = size / (window[2:] - window[:2])
    moved = (boxes.reshape(-1, 2, 2) - window[:2]) * scale
    return np.clip(moved, 0, size - 1).reshape(-1, 4).astype(np.float32)
