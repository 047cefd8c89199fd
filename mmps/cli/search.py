"""`mmps search`."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from .options import (
    DeviceOption,
    GalleryArgument,
    IndexOption,
    JsonOption,
    ModelOption,
    Precision,
    PrecisionOption,
    WeightsOption,
)
from .search_query import Query, box_of, make_filters, parse_also, read_picture
from .search_report import show_matches, show_persons


class GroupBy(str, Enum):
    """Of what only the best result is shown."""

    TRACK = 'track'
    IMAGE = 'image'
    NONE = 'none'


def search(
    gallery: GalleryArgument,
    image: Annotated[
        str,
        typer.Argument(
            metavar='IMAGE',
            help='Image with the person: a file, an address, or with --frame a video.',
        ),
    ],
    box: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(
            metavar='X1 Y1 X2 Y2', help='The person in it, in pixels.', show_default=False
        ),
    ] = None,
    person: Annotated[
        int | None,
        typer.Option(
            min=1,
            help='The person in it, by number; without this and --box its persons are listed with '
            'their numbers.',
            show_default=False,
        ),
    ] = None,
    frame: Annotated[
        int | None,
        typer.Option(min=0, help='IMAGE is a video: take this frame, from 0.', show_default=False),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar='IMAGE:X1,Y1,X2,Y2',
            help='Another picture of the same person; can be repeated.',
            show_default=False,
        ),
    ] = None,
    topk: Annotated[int, typer.Option(min=1, help='How many results.')] = 20,
    group: Annotated[
        GroupBy,
        typer.Option(
            help='Only the best result of each track of a video, of each image, or all results.'
        ),
    ] = GroupBy.TRACK,
    camera: Annotated[
        list[str] | None,
        typer.Option(help='Search this camera alone; can be repeated.', show_default=False),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help='Search this image, video or folder alone; can be repeated.', show_default=False
        ),
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option(
            '--from',
            metavar='TIME',
            help="Not before '2026-11-21 12:03:04', or 0:35 of a video whose start is not known.",
            show_default=False,
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option('--to', metavar='TIME', help='Not after this time.', show_default=False),
    ] = None,
    index: IndexOption = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar='FILE.html',
            help='Write a page with the results in their scenes, or with the numbered persons.',
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
    model: ModelOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = Precision.FLOAT32,
) -> None:
    """Search a gallery for the person in a box of an image.

    The model is the one that the gallery was made with, from where it was then.

    Examples:
    [bold]mmps search my_gallery photo.jpg[/bold] lists the persons in the photo,
    [bold]mmps search my_gallery photo.jpg --person 2 --html results.html[/bold] looks for one,
    [bold]mmps search my_gallery photo.jpg --box 210 80 260 230 --camera entrance[/bold] for a box.
    """
    if box is not None and person is not None:
        raise ValueError('give --box or --person, not both')
    if html is not None and html.suffix != '.html':
        raise ValueError(f'--html: {html} must end in .html')
    import numpy as np

    from mmps.apis import load_gallery_model
    from mmps.gallery import Gallery
    from mmps.index import open_index, search_gallery

    opened = Gallery.open(gallery)
    filters = make_filters(opened, camera=camera, source=source, begin=begin, end=end)
    others = [parse_also(text) for text in also or []]
    pixels = read_picture(image, frame)
    inferencer = load_gallery_model(
        opened, model=model, weights=weights, device=device, precision=precision.value
    )
    if box is None:
        [persons] = inferencer.detect([pixels])
        if person is None:
            show_persons(image, pixels, persons, inferencer, html=html, json=json)
            return
        box = box_of(persons, person, image)
    queries = [Query(pixels, box, image, frame), *others]
    embeddings = np.concatenate([inferencer.embed(q.image, q.bbox) for q in queries])
    matches = search_gallery(
        opened,
        open_index(opened, index=index),
        embeddings,
        topk=topk,
        filters=filters,
        group=None if group is GroupBy.NONE else group.value,
    )
    show_matches(opened, queries, matches, html=html, json=json)
