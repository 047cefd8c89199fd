"""Results of a search as the page shows and exports them."""

import csv
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmps.apis import describe_probability, write_results_page
from mmps.as_json import as_json
from mmps.gallery import Gallery
from mmps.index import Filters, Match
from mmps.times import describe_time, parse_time

from .galleries import GalleryFacts
from .kept import Picture

UNKNOWN_CAMERA = '(unknown)'

TABLE_COLUMNS = (
    'rank',
    'similarity',
    'same person',
    'camera',
    'time',
    'frame',
    'source',
    'box (x1, y1, x2, y2)',
)

_CSV_COLUMNS = ('row_id', 'similarity', 'probability', 'camera', 'time', 'source', 'frame', 'score')


@dataclass(frozen=True)
class Found:
    """Results that a user sees.

    Attributes:
        name: of the gallery.
        folder: that all its sources have in common.
        pictures: of the person whom the user looked for, at least one.
        matches: best first.
    """

    name: str
    folder: str
    pictures: Sequence[Picture]
    matches: list[Match]


def make_filters(
    facts: GalleryFacts, *, cameras: Sequence[str], path: str, begin: str, end: str
) -> Filters | None:
    """What the user confines a search to.

    Args:
        facts: of the gallery.
        cameras: names as :func:`camera_name` shows them; none for all.
        path: part of the paths of those files that count; '' for all.
        begin: first time, see :func:`~mmps.times.parse_time`; '' for any.
        end: last time.

    Raises:
        ValueError: if no source has such a path, or a time is none.
    """
    time = None
    if begin.strip() or end.strip():
        time = (
            parse_time(begin) if begin.strip() else -math.inf,
            parse_time(end) if end.strip() else math.inf,
        )
    sources = None
    if path.strip():
        part = path.strip().casefold()
        sources = tuple(source for source in facts.sources if part in source.casefold())
        if not sources:
            raise ValueError(f"No image or video of this gallery has '{path.strip()}' in its path")
    if not cameras and sources is None and time is None:
        return None
    names = tuple('' if name == UNKNOWN_CAMERA else name for name in cameras)
    return Filters(cameras=names or None, sources=sources, time=time)


def camera_name(camera: str) -> str:
    """How a camera is shown."""
    return camera or UNKNOWN_CAMERA


def common_folder(sources: Sequence[str]) -> str:
    """The folder that all sources lie in, to be left out where they are shown; '' for none."""
    return os.path.commonpath([os.path.dirname(source) for source in sources]) if sources else ''


def short_name(source: str, folder: str) -> str:
    """A source without the folder that all have in common."""
    return os.path.relpath(source, folder) if folder else source


def caption(rank: int, match: Match) -> str:
    """What stands below the crop of a result."""
    lines = [f'{rank} · {match.similarity:.3f}', describe_probability(match.probability)]
    time = describe_time(match.time).partition('.')[0].replace(' ', '\n')
    return '\n'.join([*lines, *filter(None, (match.camera, time))])


def describe(rank: int, match: Match, *, folder: str) -> str:
    """All about a result, in Markdown."""
    x1, y1, x2, y2 = (round(value) for value in match.bbox)
    facts = {
        'Similarity': f'{match.similarity:.4f}',
        'Same person': describe_probability(match.probability),
        'Camera': camera_name(match.camera),
        'Time': describe_time(match.time) or 'unknown',
        'Source': f'`{short_name(match.source, folder)}`',
        'Frame': match.frame,
        'Box': f'{x1}, {y1} – {x2}, {y2}',
        'Detected with': f'{match.score:.2f}',
    }
    rows = '\n'.join(f'| **{name}** | {value} |' for name, value in facts.items())
    return f'| Result {rank} | |\n| --- | --- |\n{rows}'


def table_rows(matches: Sequence[Match], *, folder: str) -> list[list[Any]]:
    """The results as rows of :data:`TABLE_COLUMNS`."""
    return [
        [
            rank,
            round(match.similarity, 4),
            describe_probability(match.probability),
            camera_name(match.camera),
            describe_time(match.time),
            match.frame,
            short_name(match.source, folder),
            ', '.join(f'{value:.0f}' for value in match.bbox),
        ]
        for rank, match in enumerate(matches, start=1)
    ]


def write_json(path: Path, found: Found, gallery: Gallery) -> None:
    """Write the document that ``mmps search --json`` prints."""
    queries = [{'image': picture.name, 'bbox': picture.bbox} for picture in found.pictures]
    document = {'gallery': gallery.root, 'queries': queries, 'matches': found.matches}
    text = json.dumps(as_json(document), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + '\n', encoding='utf-8')


def write_csv(path: Path, found: Found, gallery: Gallery) -> None:
    """Write a table for a spreadsheet; what is not known is empty.

    Every row names the pictures that were searched for, as IMAGE:X1,Y1,X2,Y2.
    """
    queries = '; '.join(
        f'{picture.name}:{",".join(f"{value:g}" for value in picture.bbox)}'
        for picture in found.pictures
    )
    with path.open('w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['rank', *_CSV_COLUMNS, 'x1', 'y1', 'x2', 'y2', 'track', 'queries'])
        for rank, match in enumerate(found.matches, start=1):
            fields = as_json(match)
            track = match.track if match.track >= 0 else None
            known = [fields[column] for column in _CSV_COLUMNS]
            writer.writerow([rank, *known, *match.bbox, track, queries])


def write_html(path: Path, found: Found, gallery: Gallery) -> None:
    """Write the page that ``mmps search --html`` writes."""
    queries = [(picture.scene, picture.box.tolist()) for picture in found.pictures]
    names = dict.fromkeys(picture.name for picture in found.pictures)
    title = f'Search results for {", ".join(names)}'
    write_results_page(path, queries, found.matches, gallery, title=title)


EXPORTS: dict[str, Callable[[Path, Found, Gallery], None]] = {
    'HTML': write_html,
    'CSV': write_csv,
    'JSON': write_json,
}
