"""The galleries of a page: what is in them, and searching them, for several users at once.

A gallery is open once for all users. It may grow meanwhile, by this process or by others: every
search sees what was there when it began.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmps.apis.persons import Persons
from mmps.calibration import Calibration
from mmps.gallery import Gallery, to_arrays
from mmps.index import Filters, Match, open_index, search_gallery

_TRACK_COLUMNS = ('row_id', 'frame', 'time', 'bbox', 'score')


@dataclass(frozen=True)
class GalleryFacts:
    """What a gallery holds.

    Attributes:
        persons: rows.
        frames: frames that were searched for persons.
        sources: files of images and videos.
        cameras: their names, sorted; '' for rows whose camera is unknown.
        calibration: None if the gallery is not calibrated.
    """

    persons: int
    frames: int
    sources: tuple[str, ...]
    cameras: tuple[str, ...]
    calibration: Calibration | None


class OpenGallery:
    """A gallery that several threads may search.

    Args:
        root: its folder.
        model_id: of the model that embeds the queries.
        index: address of a Milvus server; None for faiss in this process.

    Raises:
        ValueError: if there is no gallery, or one of another model.
    """

    def __init__(self, root: Path, *, model_id: str, index: str | None = None) -> None:
        self.gallery = Gallery.open(root)
        if self.gallery.model_id != model_id:
            raise ValueError(
                f'{root}: made with another model (id {self.gallery.model_id}) than the one that '
                f'this page runs ({model_id}): serve it by itself, or without --model and --weights'
            )
        # All metadata may take long where much was added: searches do not wait for them.
        self._browsed = Gallery.open(root)
        self._searching, self._browsing = threading.Lock(), threading.Lock()
        self._index = open_index(self.gallery, index=index)

    def facts(self) -> GalleryFacts:
        """What it holds at this moment."""
        with self._browsing:
            rows = self._browsed.metadata()
            sources = self._browsed.sources()
        return GalleryFacts(
            persons=len(rows),
            frames=sum(source.frames for source in sources),
            sources=tuple(source.source for source in sources),
            cameras=tuple(sorted(pc.unique(rows['camera']).to_pylist())),
            calibration=Calibration.load(self.gallery.root, self.gallery.model_id),
        )

    def search(
        self,
        embeddings: np.ndarray,
        *,
        topk: int,
        filters: Filters | None = None,
        group: Literal['track', 'image'] | None = None,
    ) -> list[Match]:
        """Search what is there by now; see :func:`mmps.index.search_gallery`."""
        self._index.sync(self.gallery)
        with self._searching:
            return search_gallery(
                self.gallery, self._index, embeddings, topk=topk, filters=filters, group=group
            )

    def frames(self, source: str) -> list[int]:
        """The frames of a source with somebody in them, ascending."""
        rows = self._rows_where('source', source)
        return sorted(set(rows['frame'].to_pylist()))

    def persons(self, source: str, frame: int) -> Persons:
        """The persons of a frame, as they were indexed."""
        rows = self._rows_where('source', source)
        rows = rows.filter(pc.equal(rows['frame'], frame)).sort_by([('score', 'descending')])
        with self._searching:
            stored = self.gallery.rows(rows['row_id'].to_pylist(), ['bbox', 'score', 'embedding'])
        return Persons(
            to_arrays(stored['bbox']),
            stored['score'].to_numpy().astype(np.float32),
            to_arrays(stored['embedding']),
        )

    def track(self, match: Match, *, limit: int) -> list[Match]:
        """The walk through a video that a match is part of, in time.

        Args:
            match: one on a track.
            limit: of a longer one, so many are taken at equal distances.

        Returns:
            Matches of the same similarity and probability: those of ``match``.
        """
        rows = self._rows_where('track', match.track)
        rows = rows.filter(pc.equal(rows['source'], match.source)).sort_by('frame')
        places = np.linspace(0, len(rows) - 1, min(limit, len(rows))).round().astype(int)
        return [
            replace(match, **{**row, 'bbox': tuple(row['bbox'])})
            for row in rows.take(places).select(_TRACK_COLUMNS).to_pylist()
        ]

    def thumbnails(self, row_ids: Sequence[int]) -> list[bytes]:
        """JPEG of each row's crop; b'' for a row that was deleted a moment ago."""
        try:
            return self._thumbnails(row_ids)
        except KeyError:
            return [self._thumbnail(row_id) for row_id in row_ids]

    def scene(self, source: str, frame: int) -> np.ndarray:
        """BGR array of a frame.

        Raises:
            FileNotFoundError: if the source is not there any more, or not of this gallery.
        """
        with self._browsing:
            known = source in self._browsed.coverage()
        if not known:  # nothing but what was indexed is shown
            raise FileNotFoundError(f'{source} is not in this gallery')
        return self.gallery.scene(source, frame)

    def _rows_where(self, column: str, value: Any) -> pa.Table:
        with self._browsing:
            rows = self._browsed.metadata()
        return rows.filter(pc.equal(rows[column], value))

    def _thumbnails(self, row_ids: Sequence[int]) -> list[bytes]:
        with self._searching:
            rows = self.gallery.rows(row_ids, ['thumbnail'])
        thumbnails: list[bytes] = rows['thumbnail'].to_pylist()
        return thumbnails

    def _thumbnail(self, row_id: int) -> bytes:
        try:
            return self._thumbnails([row_id])[0]
        except KeyError:
            return b''
