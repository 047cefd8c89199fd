"""`mmps search`."""

import os
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from .options import (
    DeviceOption,
    GalleryArgument,
    JsonOption,
    ModelOption,
    Precision,
    PrecisionOption,
    WeightsOption,
)
from .output import note, show, show_json, show_table

if TYPE_CHECKING:
    import numpy as np

    from mmps.apis import Persons, PersonSearchInferencer
    from mmps.gallery import Gallery
    from mmps.index import Filters, Match

Box = tuple[float, float, float, float]


class GroupBy(str, Enum):
    """Of what only the best result is shown."""

    TRACK = 'track'
    IMAGE = 'image'
    NONE = 'none'


class Query(NamedTuple):
    """A person looked for: BGR image and box in it, and where the image is from."""

    image: 'np.ndarray'
    bbox: Box
    source: str
    frame: int | None


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
    index: Annotated[
        str | None,
        typer.Option(
            metavar='http://HOST:PORT',
            help="Milvus server to search by; by default faiss, in the gallery's folder.",
            show_default=False,
        ),
    ] = None,
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
    from mmps.apis import load_gallery_model
    from mmps.gallery import Gallery
    from mmps.index import open_index, search_gallery

    opened = Gallery.open(gallery)
    filters = _filters(opened, camera=camera, source=source, begin=begin, end=end)
    others = [_parse_also(text) for text in also or []]
    pixels = _read(image, frame)
    inferencer = load_gallery_model(
        opened, model=model, weights=weights, device=device, precision=precision.value
    )
    if box is None:
        [persons] = inferencer.detect([pixels])
        if person is None:
            _show_persons(image, pixels, persons, inferencer, html=html, json=json)
            return
        box = _box_of(persons, person, image)
    queries = [Query(pixels, box, image, frame), *others]
    import numpy as np

    embeddings = np.concatenate([inferencer.embed(q.image, q.bbox) for q in queries])
    matches = search_gallery(
        opened,
        open_index(opened, index=index),
        embeddings,
        topk=topk,
        filters=filters,
        group=None if group is GroupBy.NONE else group.value,
    )
    _show_matches(opened, queries, matches, html=html, json=json)


def _filters(
    gallery: 'Gallery',
    *,
    camera: list[str] | None,
    source: list[str] | None,
    begin: str | None,
    end: str | None,
) -> 'Filters':
    from mmps.index import Filters
    from mmps.times import parse_time

    time = None
    if begin is not None or end is not None:
        time = (
            -float('inf') if begin is None else parse_time(begin),
            float('inf') if end is None else parse_time(end),
        )
    return Filters(
        cameras=tuple(camera) if camera else None,
        sources=_sources(gallery, source) if source else None,
        time=time,
    )


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
                f'{", ".join(there[:5])}{" ..." if len(there) > 5 else ""}'
            )
        found += hits
    return tuple(dict.fromkeys(found))


def _parse_also(text: str) -> Query:
    path, _, numbers = text.rpartition(':')
    try:
        x1, y1, x2, y2 = (float(number) for number in numbers.split(','))
    except ValueError as error:
        raise ValueError(f'--also: {text} is not IMAGE:X1,Y1,X2,Y2') from error
    return Query(_read(path, None), (x1, y1, x2, y2), path, None)


def _read(path: str, frame: int | None) -> 'np.ndarray':
    from mmps.apis import read_image
    from mmps.gallery.sources import is_video
    from mmps.gallery.videos import read_frame

    if frame is not None:
        if not os.path.isfile(path):
            raise FileNotFoundError(f'there is no {path}')
        return read_frame(path, frame)
    if is_video(path):
        raise ValueError(f'{path} is a video: say which of its frames, by --frame')
    return read_image(path)


def _box_of(persons: 'Persons', number: int, image: str) -> Box:
    if number > len(persons):
        raise ValueError(
            f'--person: there is no number {number} among the {len(persons)} persons of {image}'
        )
    x1, y1, x2, y2 = persons.bboxes[number - 1].tolist()
    return x1, y1, x2, y2


def _show_persons(
    name: str,
    image: 'np.ndarray',
    persons: 'Persons',
    inferencer: 'PersonSearchInferencer',
    *,
    html: Path | None,
    json: bool,
) -> None:
    boxes, scores = persons.bboxes.tolist(), persons.scores.tolist()
    if html is not None:
        from mmps.visualization import write_persons_page

        write_persons_page(
            html,
            image[..., ::-1],
            persons.bboxes,
            inferencer.visualizer,
            title='Who is looked for?',
            facts={'image': name},
        )
        note(f'wrote {html}')
    if json:
        numbered = zip(boxes, scores, strict=True)
        show_json(
            {
                'image': name,
                'persons': [
                    {'number': number, 'bbox': box, 'score': score}
                    for number, (box, score) in enumerate(numbered, start=1)
                ],
            }
        )
        return
    if not boxes:
        show(f'Nobody was found in {name}: give the person by --box X1 Y1 X2 Y2')
        return
    rows = [
        (number, _describe_box(box), f'{score:.3f}')
        for number, (box, score) in enumerate(zip(boxes, scores, strict=True), start=1)
    ]
    show(f'Persons in {name}:')
    show_table(('person', 'box', 'score'), rows)
    show('Look for one of them: --person NUMBER')


def _show_matches(
    gallery: 'Gallery',
    queries: list[Query],
    matches: 'list[Match]',
    *,
    html: Path | None,
    json: bool,
) -> None:
    from mmps.apis import describe_probability, write_results_page
    from mmps.times import describe_time

    if html is not None:
        write_results_page(html, [(q.image, q.bbox) for q in queries], matches, gallery)
        note(f'wrote {html}')
    if json:
        show_json(
            {
                'gallery': gallery.root,
                'queries': [{'image': q.source, 'frame': q.frame, 'bbox': q.bbox} for q in queries],
                'matches': matches,
            }
        )
        return
    if not matches:
        show('Nobody was found. Fewer filters (--camera, --source, --from, --to)?')
        return
    columns = ('rank', 'similarity', 'same person', 'source', 'time', 'camera', 'box')
    rows = [
        (
            rank,
            f'{match.similarity:.3f}',
            describe_probability(match.probability),
            _shorter(match.source),
            describe_time(match.time),
            match.camera,
            _describe_box(match.bbox),
        )
        for rank, match in enumerate(matches, start=1)
    ]
    show_table(columns, rows)
    if matches[0].probability is None:
        note('What similarity means the same person is not known yet: see `mmps calibrate`.')


def _describe_box(box: 'tuple[float, ...] | list[float]') -> str:
    return ' '.join(f'{value:.0f}' for value in box)


def _shorter(path: str) -> str:
    """A path as seen from here, where that is below."""
    return os.path.relpath(path) if path.startswith(os.path.join(os.getcwd(), '')) else path
