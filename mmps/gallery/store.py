"""The gallery store: shards of detected persons in a folder, the truth every index is made from.

``gallery.json``     format, model and length of the embeddings; written once
``shards/*.parquet`` rows (:func:`gallery_schema`) and which frames they cover
``index/``           made from the shards (:mod:`mmps.index`)
"""

import fcntl
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mmps.files import whole_file

from .coverage import Coverage, SourceEnd
from .lookup import RowLookup
from .schema import LARGE_COLUMNS, gallery_schema
from .shards import ShardVersion, read_about, shard_version, write_shard

FORMAT = 1


@dataclass(frozen=True)
class SourceStatus:
    """What a gallery has of one source.

    Attributes:
        source: file of the image or video.
        frames: how many of its frames were searched for persons.
        persons: rows found in them.
        end: where it ended; None while nobody has come there.
    """

    source: str
    frames: int
    persons: int
    end: SourceEnd | None


class Gallery:
    """A folder of detected persons; make one by :meth:`create`, take one up by :meth:`open`.

    Any number of processes may read while others append and delete. Writers wait for each other
    (a lock on ``gallery.lock``), for as long as it takes to write a shard.

    Attributes:
        root: the folder.
        model_id: of the model that made the embeddings; only its embeddings can be compared.
        embed_dim: length D of an embedding.
        model: where that model is, as told to :meth:`create`.
    """

    def __init__(
        self, root: Path, *, model_id: str, embed_dim: int, model: Mapping[str, str | None]
    ) -> None:
        self.root = root
        self.model_id = model_id
        self.embed_dim = embed_dim
        self.model = dict(model)
        self._about: dict[ShardVersion, dict[str, Coverage]] = {}
        self._metadata: tuple[tuple[ShardVersion, ...], pa.Table] | None = None
        self._lookup = RowLookup()

    @classmethod
    def open(cls, root: str | Path) -> 'Gallery':
        """Take up a gallery.

        Args:
            root: its folder.

        Raises:
            ValueError: there is none, or one that this version cannot read; the message names it.
        """
        path = Path(root) / 'gallery.json'
        try:
            about = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise ValueError(
                f'{root}: no gallery (it has no gallery.json). Make one: mmps index SOURCES... '
                f'--gallery {root}'
            ) from error
        except ValueError as error:
            raise ValueError(f'{path}: damaged ({error}); restore it from a backup') from error
        if about.get('format') != FORMAT:
            raise ValueError(
                f'{path}: format {about.get("format")!r}, this version of mmps reads {FORMAT}. '
                'Index the sources anew with it, or use the version that made the gallery.'
            )
        del about['format']
        return cls(Path(root), **about)

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
            model: where that model is, so that a search need not be told again: ``config``, a
                file or a name, and ``weights``, a file.

        Raises:
            ValueError: there is a gallery of another model.
        """
        root = Path(root)
        if not (root / 'gallery.json').exists():
            about = dict(format=FORMAT, model_id=model_id, embed_dim=embed_dim, model=dict(model))
            with whole_file(root / 'gallery.json') as file:
                file.write(json.dumps(about, indent=2).encode())
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
        with pq.ParquetFile(shard) as file:
            return _plain(file.read(columns=None if columns is None else list(columns)))

    def rows(self, row_ids: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        """Rows by their ids.

        Args:
            row_ids: any ids, also the same one twice.
            columns: names; None takes all.

        Returns:
            Their rows, in the order asked.

        Raises:
            KeyError: ids that the gallery does not have.
        """
        names = list(gallery_schema(self.embed_dim).names if columns is None else columns)
        if len(row_ids) == 0:
            return gallery_schema(self.embed_dim).empty_table().select(names)
        return self._lookup.rows(self.shards(), row_ids, names)

    def metadata(self) -> pa.Table:
        """All rows, without embedding and thumbnail. Kept until the shards change."""
        versions = {}
        for shard in self.shards():
            with suppress(FileNotFoundError):  # deleted since they were listed
                versions[shard_version(shard)] = shard
        if self._metadata is None or self._metadata[0] != tuple(versions):
            names = [n for n in gallery_schema(self.embed_dim).names if n not in LARGE_COLUMNS]
            tables = [self.read(shard, names) for shard in versions.values()]
            schema = pa.schema([gallery_schema(self.embed_dim).field(name) for name in names])
            self._metadata = tuple(versions), pa.concat_tables([schema.empty_table(), *tables])
        return self._metadata[1]

    def coverage(self) -> dict[str, Coverage]:
        """What is done of each source.

        Raises:
            ValueError: a shard is damaged or of another model; the message names it.
        """
        about = {}
        coverage: dict[str, Coverage] = {}
        for shard in self.shards():
            try:
                version = shard_version(shard)
                about[version] = self._about.get(version) or self._read_about(shard)
            except FileNotFoundError:  # deleted since they were listed
                continue
            for source, part in about[version].items():
                coverage[source] = coverage[source] | part if source in coverage else part
        self._about = about
        return coverage

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
        with self.locked():
            done = self.coverage()
            nothing = Coverage(frozenset())
            new = {
                source: Coverage(part.frames - done.get(source, nothing).frames, part.end)
                for source, part in covered.items()
            }
            new = {
                source: part
                for source, part in new.items()
                if part.frames or part.end != done.get(source, nothing).end
            }
            if not new:
                return None
            keep = [source in new and frame in new[source].frames for source, frame in frames]
            path = self.root / 'shards' / f'{uuid.uuid4().hex}.parquet'
            write_shard(path, rows.filter(pa.array(keep, pa.bool_())), new, model_id=self.model_id)
        return path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all other writers away, in other processes and on other machines too.

        Raises:
            ValueError: the file system has no locks.
        """
        path = self.root / 'gallery.lock'
        with path.open('ab') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                raise ValueError(
                    f'{path}: this file system has no locks ({error}); mount it with them, or '
                    'keep the gallery elsewhere'
                ) from error
            # Whoever writes has the lock, so these were left by processes that are dead.
            for stray in (self.root / 'shards').glob('*.tmp'):
                stray.unlink()
            yield

    def _read_about(self, shard: Path) -> dict[str, Coverage]:
        model_id, about = read_about(shard)
        if model_id != self.model_id:
            raise ValueError(
                f'{shard}: made with another model (id {model_id}) than its gallery '
                f'({self.model_id}). Move it away.'
            )
        return about


def _describe(model: Mapping[str, str | None]) -> str:
    return ' '.join(str(part) for part in model.values() if part is not None) or 'a model'


def _plain(table: pa.Table) -> pa.Table:
    """Without the shard's metadata, so that tables of several shards are of one schema."""
    return table.replace_schema_metadata(None)
