"""Where frames come from: finding images and videos, and reading images."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import nan
from pathlib import Path

import mmcv
import numpy as np
import PIL.ExifTags
import PIL.Image
from numpy.typing import NDArray
from torchvision.datasets.folder import IMG_EXTENSIONS

from mmps.data_tools.images import read_to_end

VIDEO_EXTENSIONS = (
    *('.3gp', '.avi', '.flv', '.m2ts', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.mts'),
    *('.ogv', '.ts', '.webm', '.wmv'),
)


class UnreadableError(ValueError):
    """A source cannot be read at all; the message says why."""


@dataclass(frozen=True)
class Frame:
    """An image, or a frame of a video.

    Attributes:
        source: the file.
        number: of the frame in the video from 0; 0 for an image.
        image: BGR, (H, W, 3).
        time: seconds, of an image since 1970, of a video's frame since its beginning; NaN if not
            known.
        announced: how many frames the source says it has; 0 if it does not.
    """

    source: str
    number: int
    image: NDArray[np.uint8]
    time: float
    announced: int

    @property
    def part(self) -> float:
        """How much of the source is read with it, 0 to 1; 0 if the source does not say."""
        return min(1.0, (self.number + 1) / self.announced) if self.announced else 0.0


def normalise(source: str | Path) -> str:
    """The name by which a gallery knows a file: its whole path, links not followed."""
    return os.path.abspath(source)


def is_video(source: str | Path) -> bool:
    """Whether a file is a video, by the end of its name."""
    return str(source).lower().endswith(VIDEO_EXTENSIONS)


def find_sources(paths: Iterable[str | Path]) -> list[str]:
    """Images and videos among files and in folders, also in folders of those.

    Args:
        paths: files and folders. Other files in folders are left out.

    Returns:
        Whole paths, sorted and each once.

    Raises:
        FileNotFoundError: a path is not there.
        ValueError: a file is neither image nor video, or there is nothing in a folder.
    """
    found: set[str] = set()
    for path in paths:
        if os.path.isdir(path):
            inside = set(_walk(normalise(path)))
            if not inside:
                raise ValueError(f'{path}: no images or videos in this folder')
            found |= inside
        elif not os.path.exists(path):
            raise FileNotFoundError(f'there is no {path}')
        elif not _is_source(str(path)):
            raise ValueError(
                f'{path}: neither image ({" ".join(IMG_EXTENSIONS)}) nor video '
                f'({" ".join(VIDEO_EXTENSIONS)})'
            )
        else:
            found.add(normalise(path))
    return sorted(found)


def read_image(path: str) -> Frame:
    """Read an image whole, with the time of its EXIF.

    Raises:
        UnreadableError: it is no image, or cut short.
    """
    try:
        # Some releases of OpenCV fill what is missing of an image with grey.
        _, exif = read_to_end(Path(path))
    except ValueError as error:
        raise UnreadableError(f'{path}: not a readable image ({error})') from error
    image = mmcv.imread(path)
    if image is None:
        raise UnreadableError(f'{path}: OpenCV cannot read it')
    return Frame(path, 0, image, _exif_time(exif), announced=1)


def _walk(folder: str) -> Iterator[str]:
    """Sources in a folder, in each folder once: links may lead to it again, even in a circle.

    Links are followed last and in order, so that a folder is named as it is and not by a link, and
    that all processes find the same names.
    """
    seen: set[tuple[int, int]] = set()
    starts = [folder]
    for start in starts:
        for parent, folders, names in os.walk(start):
            status = os.stat(parent)
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            yield from (os.path.join(parent, name) for name in names if _is_source(name))
            folders.sort()
            inside = (os.path.join(parent, name) for name in folders)
            starts += [path for path in inside if os.path.islink(path)]


def _is_source(name: str) -> bool:
    return is_video(name) or name.lower().endswith(IMG_EXTENSIONS)


def _exif_time(exif: PIL.Image.Exif) -> float:
    """When an image was taken, in seconds since 1970; local time if EXIF has no time zone."""
    tags = exif.get_ifd(PIL.ExifTags.IFD.Exif)
    text = tags.get(PIL.ExifTags.Base.DateTimeOriginal)
    zone = tags.get(PIL.ExifTags.Base.OffsetTimeOriginal, '')
    fraction = tags.get(PIL.ExifTags.Base.SubsecTimeOriginal, '')
    try:
        taken = datetime.strptime(f'{text}', '%Y:%m:%d %H:%M:%S')
        if zone:
            taken = taken.replace(tzinfo=datetime.strptime(zone, '%z').tzinfo)
        seconds = float(f'0.{fraction}') if fraction.strip().isdecimal() else 0.0
    except ValueError:  # of cameras whose clock was never set: blanks or zeros
        return nan
    return (taken + timedelta(seconds=seconds)).timestamp()
