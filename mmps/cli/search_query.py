"""What `mmps search` looks for, and where in a gallery."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from mmps.apis import Persons
    from mmps.gallery import Gallery
    from mmps.index import Filters

Box = tuple[float, float, float, float]


class Query(NamedTuple):
    """A person looked for: BGR image and box in it, and where the image is from."""

    image: 'np.ndarray'
    bbox: Box
    source: str
    frame: int | None


def make_filters(
    gallery: 'Gallery',
    *,
    camera: list[str] | None,
    source: list[str] | None,
    begin: str | None,
    end: str | None,
) -> 'Filters':
    """What a search is confined to.

    Raises:
        ValueError: a time cannot be read, or the gallery has nothing of a source or a camera.
    """
    from mmps.index import Filters
    from mmps.times import parse_time

    time = None
    if begin is not None or end is not None:
        time = (
            -float('inf') if begin is None else parse_time(begin),
            float('inf') if end is None else parse_time(end),
        )
    return Filters(
        cameras=_cameras(gallery, camera) if camera else None,
        sources=_sources(gallery, source) if source else None,
        time=time,
    )


def _cameras(gallery: 'Gallery', asked: list[str]) -> tuple[str, ...]:
    """The cameras that are asked for, each of which the gallery has."""
    missing, there = set(asked), set()
    for shard in gallery.shards():
        if not missing:
            break
        with suppress(FileNotFoundError):  # deleted since it was listed
            there |= set(gallery.read(shard, ['camera'])['camera'].unique().to_pylist())
        missing -= there
    if missing:
        named = sorted(there - {''})
        raise ValueError(
            f'--camera: the gallery {gallery.root} has no camera {", ".join(sorted(missing))}; '
            f'it has {_some(named, 20) or "none with a name"}'
        )
    return tuple(asked)


def _some(names: list[str], most: int) -> str:
    return ', '.join(names[:most]) + (' ...' if len(names) > most else '')


def _sources(gallery: 'Gallery', asked: list[str]) -> tuple[str, ...]:
    """The sources of a gallery that are asked for: by path, by name or by folder."""
    there = list(gallery.coverage())
    found: list[str] = []
    for name in asked:
        path = os.path.abspath(name)
        inside = os.path.join(path, '')
        hits = [s for s in there if s == path or s.startswith(inside) or Path(s).name == name]
        if not hits:
            raise ValueError(
                f'--source: the gallery {gallery.root} has nothing of {name}; it has '
                f'{_some(there, 5)}'
            )
        found += hits
    return tuple(dict.fromkeys(found))


def parse_also(text: str) -> Query:
    """A query from ``IMAGE:X1,Y1,X2,Y2``.

    Raises:
        ValueError: it is not that, or the image cannot be read.
    """
    path, _, numbers = text.rpartition(':')
    try:
        x1, y1, x2, y2 = (float(number) for number in numbers.split(','))
    except ValueError as error:
        raise ValueError(f'--also: {text} is not IMAGE:X1,Y1,X2,Y2') from error
    return Query(read_picture(path, None), (x1, y1, x2, y2), path, None)


def read_picture(path: str, frame: int | None) -> 'np.ndarray':
    """An image, BGR, or the frame of a video.

    Raises:
        FileNotFoundError: there is no such video.
        ValueError: it cannot be read, a video without the number of a frame, or such a number
            with what is no video.
    """
    from mmps.apis import read_image
    from mmps.gallery.sources import is_video
    from mmps.gallery.videos import read_frame

    if frame is not None:
        if not os.path.isfile(path):
            raise FileNotFoundError(f'there is no {path}')
        if not is_video(path):
            raise ValueError(f'{path} is no video: --frame is for videos, leave it out')
        return read_frame(path, frame)
    if is_video(path):
        raise ValueError(f'{path} is a video: say which of its frames, by --frame')
    return read_image(path)


def box_of(persons: 'Persons', number: int, image: str) -> Box:
    """The box of a person by the number, from 1.

    Raises:
        ValueError: there is no such number.
    """
    if number > len(persons):
        raise ValueError(
            f'--person: there is no number {number} among the {len(persons)} persons of {image}'
        )
    x1, y1, x2, y2 = persons.bboxes[number - 1].tolist()
    return x1, y1, x2, y2
