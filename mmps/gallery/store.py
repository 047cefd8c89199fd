"""The gallery store: shards of detected persons in a folder, the truth every index is made from.

``gallery.json``     format, model and length of the embeddings; written once
``shards/*.parquet`` rows (:func:`gallery_schema`) and which frames they cover
``index/``           made from the shards (:mod:`mmps.index`)
"""

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmps.visualization.scenes import find_scene

from .catalog import Catalog
from .coverage import NOTHING, Coverage, SourceStatus, merge
from .deletion import DeletionReport, delete, is_pending
from .description import check_folder, describe_if_new, read_description
from .lock import locked
from .lookup import RowLookup
from .metadata_cache import MetadataCache
from .schema import gallery_schema
from .shards import ShardsChangedError, read_shard, write_shard
from .sources import is_video, read_image
from .track_cache import TrackCache
from .videos import read_frame


class Gallery:
    """A folder of detected persons; make one by :meth:`create`, take one up by :meth:`open`.

    Any number of processes may read while others append and delete. Writers wait for each other
    (a lock on ``gallery.lock``), for as long as it takes to write a shard. Threads may share it.

    Attributes:
        root: the folder.
        gallery_id: 32 hexadecimal digits that no other gallery has; stays when it is moved.
        model_id: of the model that made the embeddings; only its embeddings can be compared.
        embed_dim: length D of an embedding.
        model: where that model is, as told to :meth:`create`.
    """

    def __init__(
        self,
        root: Path,
        *,
        gallery_id: str,
        model_id: str,
        embed_dim: int,
        model: Mapping[str, str | None],
    ) -> None:
        self.root = root
        self.gallery_id = gallery_id
        self.model_id = model_id
        self.embed_dim = embed_dim
        self.model = dict(model)
        self._catalog = Catalog(root / 'shards', model_id=model_id)
        self._lookup = RowLookup()
        self._tracks = TrackCache(root / 'tracks')
        self._metadata = MetadataCache(embed_dim, self._tracks)
        self._reading = threading.RLock()  # what is kept above is shared by threads

    @classmethod
    def open(cls, root: str | Path) -> 'Gallery':
        """Take up a gallery.

        Args:
            root: its folder.

        Raises:
            ValueError: there is none, or one that this version cannot read; the message names it.
        """
        return cls(Path(root), **read_description(root))

    @classmethod
    def create(
        cls,
        root: str | Path,
        *,
        model_id: str,
        embed_dim: int,
        model: Mapping[str, str | None],
    ) -> 'Gallery':
        """Make a gallery, or take it up if it is there already and of the same model.

        Args:
            root: its folder.
            model_id: of the model that makes the embeddings.
            embed_dim: length of an embedding.
            model: where that model is, so that a search need not be told again: ``model``, a
                config file or a name, and ``weights``, a file.

        Raises:
            ValueError: there is a gallery of another model, or a file.
        """
        root = Path(root)
        check_folder(root)
        root.mkdir(parents=True, exist_ok=True)
        with locked(root):  # so that of several processes one makes it
            describe_if_new(root, model_id=model_id, embed_dim=embed_dim, model=model)
        gallery = cls.open(root)
        if gallery.model_id != model_id:
            raise ValueError(
                f'{root}: made with another model ({_describe(gallery.model)}, id '
                f'{gallery.model_id}) than {_describe(model)}, id {model_id}; their embeddings '
                'cannot be compared. Name that model, or another folder for a new gallery.'
            )
        return gallery

    def shards(self) -> list[Path]:
        """The shards there are at this moment, sorted by name."""
        return sorted((self.root / 'shards').glob('*.parquet'))

    def read(self, shard: Path, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of one shard.

        Args:
            shard: one of :meth:`shards`.
            columns: names; None takes all.

        Raises:
            FileNotFoundError: all its rows were deleted since.
        """
        return read_shard(shard, columns)

    def rows(self, row_ids: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        """Rows by their ids.

        Args:
            row_ids: any ids, also the same one twice.
            columns: names, also ``track`` (see :meth:`metadata`); None takes all but that.

        Returns:
            Their rows, in the order asked.

        Raises:
            KeyError: ids that the gallery does not have.
        """
        schema = gallery_schema(self.embed_dim)
        names = list(schema.names if columns is None else columns)
        stored = [name for name in names if name != 'track']
        if 'track' in names:
            stored = [*dict.fromkeys(['row_id', 'source', *stored])]
        if len(row_ids) == 0:
            track = pa.field('track', pa.int64(), nullable=False)
            return schema.append(track).empty_table().select(names)
        with self._reading:
            while True:
                rows = self._lookup.rows(self._catalog, row_ids, stored)
                with suppress(FileNotFoundError, ShardsChangedError):
                    if 'track' in names:
                        rows = self._tracks.with_track(rows, self._catalog)
                    return rows.select(names)

    def metadata(self) -> pa.Table:
        """All rows, without embedding and thumbnail, and with ``track``; kept until they change.

        ``track``, int64, is the id of the first row of the same person's walk through a video, -1
        for rows of images. It is found from boxes and embeddings (:func:`link_tracks`).
        """
        with self._reading:
            return self._metadata.table(self._catalog)

    def coverage(self) -> dict[str, Coverage]:
        """What is done of each source.

        Raises:
            ValueError: a shard is damaged or of another model; the message names it.
        """
        with self._reading:
            self._catalog.refresh()
            return dict(self._catalog.coverage)

    def sources(self) -> list[SourceStatus]:
        """What the gallery has of each source, sorted by name."""
        counted = self.metadata()['source'].value_counts().to_pylist()
        persons = {count['values']: count['counts'] for count in counted}
        return [
            SourceStatus(source, len(part.frames), persons.get(source, 0), part.end)
            for source, part in sorted(self.coverage().items())
        ]

    def append(self, rows: pa.Table, covered: Mapping[str, Coverage]) -> Path | None:
        """Add a shard. Frames that others have added in the meantime are left out of it.

        Args:
            rows: of :func:`gallery_schema`, each from one of the frames covered.
            covered: the frames that were searched, also those with nobody in them.

        Returns:
            The shard; None if all of it is there already.

        Raises:
            ValueError: the rows are of another schema, or from a frame that is not covered.
        """
        if rows.schema != gallery_schema(self.embed_dim):
            raise ValueError(
                f'rows: their columns are {rows.schema}; a gallery of embeddings of length '
                f'{self.embed_dim} needs {gallery_schema(self.embed_dim)}'
            )
        frames = list(zip(rows['source'].to_pylist(), rows['frame'].to_pylist(), strict=True))
        for source, frame in frames:
            if source not in covered or frame not in covered[source].frames:
                raise ValueError(f'rows: one is of frame {frame} of {source}, not in `covered`')
        with locked(self.root):
            done = self.coverage()
            new = {}
            for source, part in covered.items():
                before = done.get(source, NOTHING)
                if part.frames - before.frames or merge([before, part]).end != before.end:
                    new[source] = Coverage(part.frames - before.frames, part.end)
            if not new:
                return None
            keep = [source in new and frame in new[source].frames for source, frame in frames]
            path = self.root / 'shards' / f'{uuid.uuid4().hex}.parquet'
            write_shard(path, rows.filter(pa.array(keep, pa.bool_())), new, model_id=self.model_id)
        return path

    def delete(
        self,
        *,
        row_ids: Iterable[int] = (),
        sources: Iterable[str] = (),
        index: Callable[[list[int]], None] | None = None,
    ) -> DeletionReport:
        """Delete rows for good, and make sure that nothing of them is left.

        The frames of deleted rows still count as searched, so that nobody comes back when their
        source is indexed again; those of deleted sources do not. Killed at any moment, it leaves a
        whole gallery, and is brought to its end by the next call, with or without arguments.

        Args:
            row_ids: rows to delete.
            sources: sources to delete, with all their rows.
            index: called with the ids of all rows that are gone from the shards, to remove them
                from indexes before the files are searched.

        Raises:
            KeyError: rows or sources that the gallery does not have; nothing is deleted then.
        """

        def forget(gone: list[int], of_sources: list[str]) -> None:
            self._tracks.forget(of_sources)
            if index is not None:
                index(gone)

        with locked(self.root):
            return delete(self.root, row_ids=row_ids, sources=sources, forget=forget)

    def deletion_is_pending(self) -> bool:
        """Whether a deletion was killed before its end; :meth:`delete` finishes it."""
        return is_pending(self.root)

    def scene(
        self, source: str, frame: int, *, data_root: str | Path | None = None
    ) -> NDArray[np.uint8]:
        """The image that a row was found in, read from its source.

        Args:
            source: of the row.
            frame: of the row.
            data_root: folder of the footage where it has moved: the longest tail of the source's
                path that is there below it is read.

        Returns:
            BGR, (H, W, 3).

        Raises:
            FileNotFoundError: the source is not there; the message names it.
            ValueError: it cannot be read.
        """
        path = str(find_scene(source, data_root))
        return read_frame(path, frame) if is_video(path) else read_image(path).image


def _describe(model: Mapping[str, str | None]) -> str:
    return ' '.join(str(part) for part in model.values() if part is not None) or 'a model'
