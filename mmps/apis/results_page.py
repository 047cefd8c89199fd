"""The results of a search in a gallery as one HTML file."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmps.gallery import Gallery
from mmps.index import Match
from mmps.times import describe_time
from mmps.visualization import (
    FoundPerson,
    PersonSearchVisualizer,
    RankedResult,
    write_ranking_page,
)
from mmps.visualization.scenes import Boxes, Image


def write_results_page(
    path: str | Path,
    queries: Sequence[tuple[np.ndarray, Sequence[float]]],
    matches: Sequence[Match],
    gallery: Gallery,
    *,
    title: str = 'Search results',
) -> Path:
    """Write the ranked persons in their scenes, in one file that needs nothing else.

    Where a scene cannot be had any more, its place is taken by the thumbnail.

    Args:
        path: file to write; an older one is replaced.
        queries: images (BGR) and boxes x1, y1, x2, y2 of the person looked for.
        matches: what was found.
        gallery: where.
        title: heading of the page.

    Returns:
        The path.
    """
    return write_ranking_page(
        path,
        [(_rgb(image), np.array(box, dtype=np.float32)) for image, box in queries],
        [_found(match, gallery) for match in matches],
        PersonSearchVisualizer(name='results page'),
        title=title,
        facts={'gallery': str(gallery.root), 'persons found': str(len(matches))},
    )


def describe_probability(probability: float | None) -> str:
    """A probability for people, which says where there is none."""
    return 'uncalibrated' if probability is None else f'{probability:.1%}'


def _found(match: Match, gallery: Gallery) -> FoundPerson:
    captions = [
        f'same person: {describe_probability(match.probability)}',
        Path(match.source).name,
        describe_time(match.time),
        f'camera {match.camera}' if match.camera else '',
        f'frame {match.frame}' if match.track >= 0 else '',
    ]
    scene, box = _scene(match, gallery)
    if scene is None:
        captions.append('its scene is not there any more')
        scene, box = _thumbnail(match, gallery)
    result = RankedResult(image=scene, bbox=box, similarity=match.similarity)
    return FoundPerson(result, tuple(caption for caption in captions if caption))


def _scene(match: Match, gallery: Gallery) -> tuple[Image | None, Boxes]:
    box = np.array(match.bbox, dtype=np.float32)
    try:
        return _rgb(gallery.scene(match.source, match.frame)), box
    except (FileNotFoundError, ValueError):
        return None, box


def _thumbnail(match: Match, gallery: Gallery) -> tuple[Image, Boxes]:
    [jpeg] = gallery.rows([match.row_id], ['thumbnail'])['thumbnail'].to_pylist()
    image = _rgb(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))
    height, width = image.shape[:2]
    return image, np.array([0, 0, width, height], dtype=np.float32)


def _rgb(image: np.ndarray | None) -> Image:
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8)[..., ::-1])
