"""Galleries of generated persons, as large as one likes, and who is most similar in them.

A person is a normal vector whose i-th dimension has variance ``i ** -DECAY``; a view adds noise of
``NOISE`` of that variance and is scaled to norm 1. A person has ``VIEWS`` views on average.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa

from mmps.gallery import Coverage, Gallery, gallery_schema
from mmps.index import Filters

VIEWS = 20
NOISE = 0.43
DECAY = 0.75

PER_VIDEO = 20_000
"""Rows of each video but the last."""
CAMERAS = 20
"""Videos are of these in turn."""
K = 10
"""How many most similar rows are looked for."""


@dataclass(frozen=True)
class Persons:
    """Generated rows, the same for the same seed.

    Args:
        rows: how many.
        dim: of an embedding.
        seed: of all random numbers.
    """

    rows: int
    dim: int
    seed: int

    def videos(self) -> Iterator[tuple[int, np.ndarray]]:
        """Number and embeddings (N, dim) of each video."""
        centres = self._centres()
        for number in range(self._num_videos()):
            count = min(PER_VIDEO, self.rows - number * PER_VIDEO)
            yield number, self._views(centres, count, stream=number)

    def queries(self, count: int) -> np.ndarray:
        """Views of persons that are no rows, (count, dim)."""
        return self._views(self._centres(), count, stream=-1)

    def another_video(self) -> tuple[int, np.ndarray]:
        """Number and embeddings of a video that is not among them."""
        return self._num_videos(), self.queries(min(PER_VIDEO, self.rows))

    def _num_videos(self) -> int:
        return -(-self.rows // PER_VIDEO)

    def _spread(self) -> np.ndarray:
        return (np.arange(1, self.dim + 1) ** (-DECAY / 2)).astype(np.float32)

    def _centres(self) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 0])
        shape = (max(1, self.rows // VIEWS), self.dim)
        return self._spread() * rng.standard_normal(shape, dtype=np.float32)

    def _views(self, centres: np.ndarray, count: int, *, stream: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 1, stream + 1])
        views = rng.standard_normal((count, self.dim), dtype=np.float32)
        views *= np.sqrt(NOISE, dtype=np.float32) * self._spread()
        views += centres[rng.integers(len(centres), size=count)]
        return views / np.linalg.norm(views, axis=1, keepdims=True)


def _camera_of(video: int) -> str:
    return f'camera {video % CAMERAS}'


def _source_of(video: int) -> str:
    return f'/footage/{video}.mp4'


SEARCHES: dict[str, tuple[Filters | None, Callable[[int], bool]]] = {
    'all': (None, lambda video: True),
    'one camera of 20': (Filters(cameras=(_camera_of(0),)), lambda video: video % CAMERAS == 0),
    'one video': (Filters(sources=(_source_of(0),)), lambda video: video == 0),
}
"""By name: what a search is confined to, and whether that has the video of a number."""


def fill(folder: Path, persons: Persons) -> None:
    """Make the gallery of generated persons.

    Args:
        folder: where it goes.
        persons: all that it has.
    """
    gallery = Gallery.create(folder, model_id='00', embed_dim=persons.dim, model={})
    for number, embeddings in persons.videos():
        add_video(gallery, number, embeddings)


def add_video(gallery: Gallery, number: int, embeddings: np.ndarray) -> None:
    """Append a video to a gallery.

    Args:
        gallery: of :func:`fill`.
        number: of the video.
        embeddings: of its rows, (N, D).
    """
    count, source = len(embeddings), _source_of(number)
    frames = np.arange(count, dtype=np.int32) // 5
    columns = dict(
        row_id=number * PER_VIDEO + np.arange(count),
        source=[source] * count,
        frame=frames,
        time=frames / 25,
        camera=[_camera_of(number)] * count,
        image_width=np.full(count, 1920, np.int32),
        image_height=np.full(count, 1080, np.int32),
        bbox=_lists(np.tile(np.array([0, 0, 64, 128], np.float32), (count, 1))),
        score=np.ones(count, np.float32),
        embedding=_lists(embeddings),
        thumbnail=[b''] * count,
    )
    rows = pa.table(columns, schema=gallery_schema(embeddings.shape[1]))
    gallery.append(rows, {source: Coverage(frozenset(frames.tolist()))})


def _lists(values: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def neighbours(persons: Persons, num_queries: int) -> dict[str, np.ndarray]:
    """The most similar rows, by comparing with every row.

    Args:
        persons: of the gallery.
        num_queries: Q of :meth:`Persons.queries`.

    Returns:
        For each of :data:`SEARCHES` the ids of the rows, (Q, K), the most similar first.
    """
    queries = persons.queries(num_queries)
    best = {
        name: (np.full((num_queries, K), -2.0), np.full((num_queries, K), -1)) for name in SEARCHES
    }
    for number, embeddings in persons.videos():
        similarities, places = faiss.knn(queries, embeddings, K, faiss.METRIC_INNER_PRODUCT)
        found = similarities, places + number * PER_VIDEO
        for name, (_, counts) in SEARCHES.items():
            if counts(number):
                values, ids = (
                    np.concatenate(two, axis=1) for two in zip(best[name], found, strict=True)
                )
                order = np.argsort(-values, axis=1, kind='stable')[:, :K]
                best[name] = (
                    np.take_along_axis(values, order, axis=1),
                    np.take_along_axis(ids, order, axis=1),
                )
    return {name: ids for name, (_, ids) in best.items()}
