"""Pages of a search by a user, each one file: the persons found, and those there are to choose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from mmps.files import whole_file

from .page_parts import embedded_picture, page_text
from .person_search_visualizer import PersonSearchVisualizer, RankedResult
from .scenes import Boxes, Image

COLUMNS = 5
SCENE_WIDTH = 480


@dataclass(frozen=True)
class FoundPerson:
    """A person found and what is written below the picture.

    Attributes:
        result: Scene, box and similarity.
        captions: Lines, such as file, camera and time.
    """

    result: RankedResult
    captions: tuple[str, ...]


def write_ranking_page(
    path: str | Path,
    queries: Sequence[tuple[Image, Boxes]],
    found: Sequence[FoundPerson],
    visualizer: PersonSearchVisualizer,
    *,
    title: str,
    facts: Mapping[str, str],
) -> Path:
    """Write the results of one search: each person in close-up and in the whole scene.

    Args:
        path: File to write; an older one is replaced.
        queries: Scenes (RGB) and boxes (4,) of the person looked for.
        found: The persons found, the most similar first.
        visualizer: Draws the scenes.
        title: Heading of the page.
        facts: What was searched: name -> value.

    Returns:
        The path.
    """
    figures = [_query(scene, box, visualizer) for scene, box in queries]
    figures += [_found(rank, person, visualizer) for rank, person in enumerate(found, start=1)]
    body = (
        '<ul class="key"><li><i class="query"></i>person looked for</li>'
        '<li><i class="found"></i>person found; the number is the similarity</li></ul>\n'
        f'<section class="card search"><div class="row" style="--columns: {COLUMNS}">\n'
        f'{"".join(figures)}</div></section>\n'
    )
    return _write(Path(path), page_text(title=title, facts=facts, body=body))


def write_persons_page(
    path: str | Path,
    image: Image,
    bboxes: Boxes,
    visualizer: PersonSearchVisualizer,
    *,
    title: str,
    facts: Mapping[str, str],
) -> Path:
    """Write the persons of an image with their numbers, from 1, to choose one by.

    Args:
        path: File to write; an older one is replaced.
        image: RGB array (H, W, 3).
        bboxes: Of the persons, (N, 4).
        visualizer: Draws them.
        title: Heading of the page.
        facts: Name -> value, below the heading.

    Returns:
        The path.
    """
    drawn = embedded_picture(visualizer.draw_numbered(image, bboxes), f'{len(bboxes)} persons')
    body = f'<figure class="card search">{drawn}</figure>\n'
    return _write(Path(path), page_text(title=title, facts=facts, body=body))


def _query(scene: Image, box: Boxes, visualizer: PersonSearchVisualizer) -> str:
    tile = visualizer.draw_query(scene, box)
    whole = visualizer.draw_scene(scene, box, width=SCENE_WIDTH)
    return (
        f'<figure class="is-query">{embedded_picture(tile, "The person looked for")}'
        f'{embedded_picture(whole, "The whole scene of the query")}'
        '<figcaption><b>Query</b></figcaption></figure>\n'
    )


def _found(rank: int, person: FoundPerson, visualizer: PersonSearchVisualizer) -> str:
    result = person.result
    tile = visualizer.draw_result(result)
    whole = visualizer.draw_scene(result.image, result.bbox, width=SCENE_WIDTH, color=result.color)
    captions = ''.join(f'<small>{escape(line)}</small>' for line in person.captions)
    return (
        f'<figure class="is-found">{embedded_picture(tile, f"Result {rank}")}'
        f'{embedded_picture(whole, f"The whole scene of result {rank}")}'
        f'<figcaption>{rank}: <b>{result.similarity:.3f}</b>{captions}</figcaption></figure>\n'
    )


def _write(path: Path, text: str) -> Path:
    with whole_file(path) as file:
        file.write(text.encode())
    return path
