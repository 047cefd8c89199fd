"""What an index needs of a shard, in a file that is mapped into memory rather than read.

A shard is Parquet, from which single rows cannot be taken at random within microseconds. Its
segment holds ids, what filters ask for and the embeddings as an uncompressed Arrow file: memory is
taken only for the pages that are touched, and the system may have them back.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmps.files import whole_file
from mmps.gallery import Gallery
from mmps.gallery.shards import shard_version

DEAD = -1
"""In place of the id of a row that was removed."""

COLUMNS = ('row_id', 'camera', 'source', 'time', 'embedding')


@dataclass(frozen=True)
class Segment:
    """The rows of one state of one shard.

    Attributes:
        name: of shard and state; '' if the shard is there no more.
        row_ids: (N,) int64, ``DEAD`` for rows that were removed.
        cameras: (N,) names, dictionary encoded.
        sources: (N,) likewise.
        times: (N,) float64, NaN where unknown.
        embeddings: (N, D) float32, mapped; zeros for rows that were removed.
    """

    name: str
    row_ids: NDArray[np.int64]
    cameras: pa.DictionaryArray
    sources: pa.DictionaryArray
    times: NDArray[np.float64]
    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.row_ids)


def dead_segment(rows: int) -> Segment:
    """What is left of a segment that was dropped: that many dead rows, without a name."""
    nothing = pa.DictionaryArray.from_arrays(np.zeros(rows, dtype=np.int32), [''])
    return Segment(
        '',
        np.broadcast_to(np.int64(DEAD), rows),
        nothing,
        nothing,
        np.broadcast_to(np.nan, rows),
        np.broadcast_to(np.float32(0), (rows, 1)),
    )


def segment_name(shard: Path) -> str:
    """Name of the segment of a shard in its present state.

    Raises:
        FileNotFoundError: the shard was deleted.
    """
    name, mtime_ns, size = shard_version(shard)
    return f'{Path(name).stem}-{mtime_ns:x}-{size:x}'


def shards_by_name(gallery: Gallery) -> dict[str, Path]:
    """The shards that a gallery has at this moment, by the names of their segments."""
    shards = {}
    for shard in gallery.shards():
        with suppress(FileNotFoundError):  # deleted since they were listed
            shards[segment_name(shard)] = shard
    return shards


def open_segment(folder: Path, name: str) -> Segment:
    """A segment that is there.

    Args:
        folder: of the segments.
        name: of :func:`segment_name`.

    Raises:
        FileNotFoundError: there is none of that name.
        pa.ArrowInvalid: it is damaged.
    """
    with pa.memory_map(str(folder / f'{name}.arrow')) as file:  # the map outlives the file
        batch = pa.ipc.open_file(file).get_batch(0)
    embeddings = batch['embedding']
    return Segment(
        name,
        batch['row_id'].to_numpy(),
        batch['camera'],
        batch['source'],
        batch['time'].to_numpy(),
        embeddings.flatten().to_numpy().reshape(-1, embeddings.type.list_size),
    )


def make_segment(folder: Path, gallery: Gallery, shard: Path) -> Segment:
    """The segment of a shard, written unless it is there and whole.

    Args:
        folder: of the segments.
        gallery: that the shard is of.
        shard: its file.

    Raises:
        FileNotFoundError: the shard was deleted.
    """
    name = segment_name(shard)
    try:
        return open_segment(folder, name)
    except (FileNotFoundError, pa.ArrowInvalid):
        pass
    table = gallery.read(shard, COLUMNS)
    columns = {column: table[column].combine_chunks() for column in COLUMNS}
    for column in ('camera', 'source'):
        columns[column] = columns[column].dictionary_encode()
    _write(folder, name, columns)
    return open_segment(folder, name)


def without_rows(folder: Path, segment: Segment, rows: NDArray[np.int64]) -> Segment:
    """The same segment with some rows dead; its file is replaced, their embeddings are gone.

    Args:
        folder: of the segments.
        segment: in it.
        rows: places in the segment.
    """
    row_ids, embeddings = segment.row_ids.copy(), segment.embeddings.copy()
    row_ids[rows], embeddings[rows] = DEAD, 0
    columns = dict(
        row_id=pa.array(row_ids),
        camera=segment.cameras,
        source=segment.sources,
        time=pa.array(segment.times),
        embedding=pa.FixedSizeListArray.from_arrays(
            pa.array(embeddings.ravel()), embeddings.shape[1]
        ),
    )
    _write(folder, segment.name, columns)
    return open_segment(folder, segment.name)


def _write(folder: Path, name: str, columns: dict[str, pa.Array]) -> None:
    batch = pa.RecordBatch.from_pydict(columns)
    with (
        whole_file(folder / f'{name}.arrow') as file,
        pa.ipc.new_file(file, batch.schema) as writer,
    ):
        writer.write_batch(batch)
