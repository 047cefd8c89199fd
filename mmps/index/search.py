"""From query boxes to ranked persons of a gallery."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmps.calibration import Calibration
from mmps.gallery import Gallery
from mmps.gallery.tracks import NONE as NO_TRACK

from .filters import Filters
from .protocol import GalleryIndex, unit_rows

Group = Literal['track', 'image']

COLUMNS = ['source', 'frame', 'time', 'camera', 'bbox', 'score', 'track']


@dataclass(frozen=True)
class Match:
    """A person found.

    Attributes:
        row_id: key of the row in the gallery.
        similarity: cosine of the angle between the embeddings of query and row; of several
            queries the mean of the cosines.
        probability: that it is the same person; None where the gallery is not calibrated.
        source: file of the image or video.
        frame: number of the frame in the video, 0 for an image.
        time: in seconds as the gallery has it, NaN if unknown.
        camera: its name, '' if unknown.
        bbox: x1, y1, x2, y2 in pixels of the frame.
        score: of the detection.
        track: of the video that it is on, -1 if on none.
    """

    row_id: int
    similarity: float
    probability: float | None
    source: str
    frame: int
    time: float
    camera: str
    bbox: tuple[float, float, float, float]
    score: float
    track: int


def search_gallery(
    gallery: Gallery,
    index: GalleryIndex,
    embeddings: NDArray[np.float32],
    *,
    topk: int = 20,
    filters: Filters | None = None,
    group: Group | None = None,
) -> list[Match]:
    """The persons of a gallery most similar to one that is asked for.

    Several queries show one person: rows are ranked by the mean of their similarities. On the
    sample that found more than the most similar query alone did (docs/index.md).

    Args:
        gallery: what is searched.
        index: of it; brought up to date if it names rows that the gallery has deleted.
        embeddings: (Q, D), of one or more boxes of one person.
        topk: how many matches, at least 1.
        filters: what counts; None for all.
        group: of each track, or of each frame, only the best match; rows on no track are each a
            group of their own. None for all rows.

    Returns:
        At most ``topk`` matches, the most similar first.

    Raises:
        ValueError: ``topk`` below 1, an unknown ``group``, no query, or one of another model.
    """
    if group not in (None, 'track', 'image'):
        raise ValueError(f"group must be None, 'track' or 'image': {group!r}")
    if topk < 1:
        raise ValueError(f'topk must be at least 1: {topk}')
    query, scale = _fuse(embeddings, gallery.embed_dim)
    try:
        return _search(gallery, index, query, scale, topk, filters, group)
    except KeyError:  # of rows that were deleted since the index was last made to agree
        index.sync(gallery)
        return _search(gallery, index, query, scale, topk, filters, group)


def _search(
    gallery: Gallery,
    index: GalleryIndex,
    query: NDArray[np.float32],
    scale: float,
    topk: int,
    filters: Filters | None,
    group: Group | None,
) -> list[Match]:
    """As :func:`search_gallery`, with one query and what to multiply its similarities by.

    Raises:
        KeyError: the index names a row that the gallery does not have.
    """
    k = topk
    while True:
        similarities, row_ids = (found[0] for found in index.search(query, k=k, filters=filters))
        row_ids = row_ids[row_ids >= 0]
        best = _best_of_groups(gallery, row_ids, group)[:topk]
        if len(best) == topk or len(row_ids) < k:  # enough, or all there are
            break
        k *= 4
    similarities, row_ids = scale * similarities[best], row_ids[best]
    calibration = Calibration.load(gallery.root, gallery.model_id)
    probabilities = (
        [None] * len(best)
        if calibration is None
        else calibration.probability(similarities).tolist()
    )
    rows = gallery.rows(row_ids.tolist(), COLUMNS).to_pylist()
    return [
        Match(row_id, similarity, probability, **row | dict(bbox=tuple(row['bbox'])))
        for row_id, similarity, probability, row in zip(
            row_ids.tolist(), similarities.tolist(), probabilities, rows, strict=True
        )
    ]


def _fuse(embeddings: NDArray[np.float32], embed_dim: int) -> tuple[NDArray[np.float32], float]:
    """One query (1, D) for several, and what its cosines are to be multiplied by.

    The mean of cosines is the dot product with the mean of the unit vectors. The mean is shorter
    than 1 the less the queries agree; with its length left in, similarities stay on the scale of
    single queries, the one that a calibration is of.
    """
    queries = unit_rows(embeddings, embed_dim)
    if len(queries) == 0:
        raise ValueError('no query embedding')
    mean = queries.mean(axis=0, keepdims=True)
    length = float(np.linalg.norm(mean))
    if length < 1e-4:
        raise ValueError('the query embeddings are opposite: they cannot show one person')
    return mean, length


def _best_of_groups(gallery: Gallery, row_ids: NDArray[np.int64], group: Group | None) -> list[int]:
    """Places of the first row of each group, in order."""
    if group is None:
        return list(range(len(row_ids)))
    columns = ['track'] if group == 'track' else ['source', 'frame']
    rows = gallery.rows(row_ids.tolist(), columns).to_pydict()
    first: dict[Hashable, int] = {}
    for place, key in enumerate(zip(*rows.values(), strict=True)):
        alone = group == 'track' and key == (NO_TRACK,)
        first.setdefault(-place if alone else key, place)
    return list(first.values())
