"""Pictures that users upload: nothing but pixels is taken of them."""

import os
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

MAX_BYTES = 32 * 2**20
MAX_PIXELS = 50_000_000
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP')


def decode_upload(path: str | os.PathLike[str]) -> np.ndarray:
    """Decode a picture of one of :data:`FORMATS`, whatever its name says.

    Args:
        path: the file that was uploaded.

    Returns:
        BGR array (H, W, 3) of uint8, turned upright as its metadata say.

    Raises:
        ValueError: if it is too large, or no picture of these formats.
    """
    if Path(path).stat().st_size > MAX_BYTES:
        raise ValueError(f'The picture has more than {MAX_BYTES // 2**20} MB')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', PIL.Image.DecompressionBombWarning)  # checked below
            with PIL.Image.open(path, formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > MAX_PIXELS:
                    raise ValueError(
                        f'The picture has {width} x {height} pixels, '
                        f'at most {MAX_PIXELS // 10**6} million are taken'
                    )
                rgb = np.asarray(PIL.ImageOps.exif_transpose(picture).convert('RGB'))
    except (OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise ValueError(f'Not a picture that can be read ({", ".join(FORMATS)})') from error
    return np.ascontiguousarray(rgb[..., ::-1])
