"""Image files of annotated scenes: their sizes, and whether they can be read at all."""

import dataclasses
from pathlib import Path

import PIL.ExifTags
import PIL.Image
from tqdm import tqdm

from mmps.datasets.annotations import Annotations

# Reading that takes no longer shows no progress bar.
_SILENT_SECONDS = 2.0


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image, from the header of its file.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is no image; the message names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: there is no such image')
    try:
        with PIL.Image.open(path) as image:
            return _size_when_read(image)
    except OSError as error:
        raise ValueError(f'{path}: not an image, or cut short ({error})') from error


def with_sizes(annotations: Annotations, folder: Path) -> Annotations:
    """The same annotations with the size of every scene, read from its file where not known.

    Args:
        annotations: file names are relative to ``folder``.
        folder: where the images are.

    Raises:
        FileNotFoundError: an image is not there.
        ValueError: a file is no image.
    """
    scenes = [
        scene
        if scene.size is not None
        else dataclasses.replace(scene, size=image_size(folder / scene.file_name))
        for scene in _progress(annotations, 'sizes')
    ]
    return Annotations(scenes, annotations.queries)


def check_images(annotations: Annotations, folder: Path) -> tuple[Annotations, list[str]]:
    """Find what is wrong with image files: missing, unreadable, of another size than annotated.

    Every file is decoded to its end.

    Args:
        annotations: file names are relative to ``folder``.
        folder: where the images are.

    Returns:
        The annotations, with the sizes of those images that could be read, and the problems.
    """
    scenes, problems = [], []
    for scene in _progress(annotations, 'images'):
        scenes.append(scene)
        path = folder / scene.file_name
        if not path.is_file():
            problems.append(f'{scene.file_name}: the image is missing')
            continue
        try:
            size, _ = read_to_end(path)
        except ValueError as error:
            problems.append(f'{scene.file_name}: not a readable image ({error})')
            continue
        if scene.size is not None and scene.size != size:
            problems.append(
                f'{scene.file_name}: the image has {size[0]}x{size[1]} pixels, the annotations '
                f'say {scene.size[0]}x{scene.size[1]}'
            )
        scenes[-1] = dataclasses.replace(scene, size=size)
    return Annotations(scenes, annotations.queries), problems


def read_to_end(path: Path) -> tuple[tuple[int, int], PIL.Image.Exif]:
    """Decode an image to its end to see that it is whole, and throw the pixels away.

    JPEGs are decoded at an eighth of their size, which finds what is cut short just as well.

    Returns:
        Its width and height as OpenCV gives them, and its EXIF.

    Raises:
        ValueError: it is not there, no image, or cut short.
    """
    try:
        with PIL.Image.open(path) as image:
            size = _size_when_read(image)
            image.draft(None, (1, 1))
            image.load()
            return size, image.getexif()
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error


def _size_when_read(image: PIL.Image.Image) -> tuple[int, int]:
    """Width and height as OpenCV, which MMDet reads with, gives them: turned as EXIF says."""
    turned = image.getexif().get(PIL.ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    width, height = image.size
    return (height, width) if turned else (width, height)


def _progress(annotations: Annotations, what: str) -> tqdm:
    return tqdm(annotations.scenes, desc=what, unit='image', delay=_SILENT_SECONDS)
