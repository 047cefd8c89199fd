"""What `mmps search` writes: persons to choose from, or those that were found."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .output import note, show, show_json, show_table
from .search_query import Query

if TYPE_CHECKING:
    import numpy as np

    from mmps.apis import Persons, PersonSearchInferencer
    from mmps.gallery import Gallery
    from mmps.index import Match


def show_persons(
    name: str,
    image: 'np.ndarray',
    persons: 'Persons',
    inferencer: 'PersonSearchInferencer',
    *,
    html: Path | None,
    json: bool,
) -> None:
    """List the persons of an image with their numbers; with ``html`` draw them, too."""
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


def show_matches(
    gallery: 'Gallery',
    queries: list[Query],
    matches: 'list[Match]',
    *,
    html: Path | None,
    json: bool,
) -> None:
    """Show what was found; with ``html`` write the page, too."""
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
    columns = ('rank', 'similarity', 'same person', 'source', 'time', 'camera', 'box', 'row')
    rows = [
        (
            rank,
            f'{match.similarity:.3f}',
            describe_probability(match.probability),
            _shorter(match.source),
            describe_time(match.time),
            match.camera,
            _describe_box(match.bbox),
            match.row_id,
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
