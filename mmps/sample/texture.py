"""Garment patterns as images."""

import numpy as np

from .appearance import RGB, Garment
from .canvas import Image


def garment_texture(
    garment: Garment, shape: tuple[int, int], *, unit: float, axis: float, top: float, front: float
) -> Image | RGB:
    """The pattern over a whole figure's canvas; the outline is cut from it later.

    Args:
        garment: Pattern and colours.
        shape: Height and width of the canvas in pixels.
        unit: Pixels per body height.
        axis: Column of the body's axis.
        top: Row at which the garment begins.
        front: 1 where the person faces the camera, -1 where the back shows; a logo is seen
            from the front only.

    Returns:
        RGB image (height, width, 3), or the one colour of a plain garment.
    """
    rows = ((np.arange(shape[0], dtype=np.float32) - top) / unit)[:, None]
    cols = ((np.arange(shape[1], dtype=np.float32) - axis) / unit)[None, :]
    period = garment.period
    if garment.pattern == 'hstripes':
        mask = rows % period < 0.45 * period
    elif garment.pattern == 'vstripes':
        mask = (cols + 0.2 * period) % (0.7 * period) < 0.28 * period
    elif garment.pattern == 'checks':
        mask = (rows % period < 0.5 * period) ^ (cols % period < 0.5 * period)
    elif garment.pattern == 'dots':
        odd = np.floor(rows / period) % 2 * 0.5 * period
        dy = rows % period - 0.5 * period
        dx = (cols + odd) % period - 0.5 * period
        mask = dx**2 + dy**2 < (0.29 * period) ** 2
    elif garment.pattern == 'blocks':
        mask = rows > 0.15
    elif garment.pattern == 'band':
        mask = (rows > 0.09) & (rows < 0.09 + period)
    elif garment.pattern == 'logo':
        mask = (np.abs(rows - 0.13) < 0.045) & (np.abs(cols) < 0.055) & (front > 0.2)
    else:
        return garment.color
    mask = np.broadcast_to(mask, shape)
    palette = np.array([garment.color, garment.second], dtype=np.uint8)
    return palette[mask.astype(np.intp)]
