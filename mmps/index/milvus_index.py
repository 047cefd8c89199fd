"""The index of a Milvus server, for galleries that outgrow a machine."""

import json
import logging
import math
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pymilvus import CollectionSchema, DataType, MilvusClient, MilvusException
from pymilvus.milvus_client import IndexParams

from mmps.gallery import Gallery, to_arrays

from .filters import Filters
from .protocol import nothing_found, unit_rows
from .segments import COLUMNS, shards_by_name

MAX_K = 16384
"""Milvus' limit of neighbours in one answer."""

_BATCH = 4096  # rows in a message: 5 MB at 256 dimensions, Milvus takes 64
_MAX_NAME = 4096  # bytes of a camera's name or of the path of a source
# It prints a page for each error that it raises as well.
logging.getLogger('pymilvus').setLevel(logging.CRITICAL)

_UP_TO_DATE = 'Strong'  # a search sees every row that was written before it


class MilvusIndex:
    """A :class:`mmps.index.GalleryIndex` that a Milvus server holds.

    A collection, named after the gallery's id, has a row's id as its primary key, the embedding
    (HNSW, cosine), and camera, source and time for filters, which Milvus applies itself. Rows are
    spread over its partitions by camera. A second collection lists the shards: one is noted before
    its first row is written and marked as loaded after the last, so that whatever a run that broke
    off has left is found and completed, or removed.

    An answer has at most ``MAX_K`` rows.

    Args:
        uri: ``http://host:port``.
        gallery: that the index is of.

    Raises:
        ConnectionError: no Milvus answers there; likewise all methods.
    """

    def __init__(self, uri: str, gallery: Gallery) -> None:
        self._embed_dim = gallery.embed_dim
        self._rows = f'mmps_{gallery.gallery_id}'
        self._shards = f'{self._rows}_shards'
        self._changing = threading.Lock()
        self._uri = uri
        with self._talking():
            self._client = MilvusClient(uri, token=os.environ.get('MILVUS_TOKEN', ''), timeout=10)
            if not self._client.has_collection(self._rows):
                self._create_rows()
            if not self._client.has_collection(self._shards):
                self._create_shards()

    def __len__(self) -> int:
        with self._talking():
            (answer,) = self._client.query(
                self._rows, filter='', output_fields=['count(*)'], consistency_level=_UP_TO_DATE
            )
        return int(answer['count(*)'])

    def sync(self, gallery: Gallery) -> None:
        """See :meth:`mmps.index.GalleryIndex.sync`."""
        with self._changing, self._talking():
            there = shards_by_name(gallery)
            noted = self._noted()
            for name, shard in there.items():
                if not noted.get(name, False):
                    self._load(gallery, name, shard)
            # The new first: rows of a shard that was written anew then belong to its new state.
            for name in noted.keys() - there.keys():
                self._client.delete(self._rows, filter=f'shard == {_quoted(name)}')
                self._client.delete(self._shards, ids=[name])

    def remove(self, row_ids: Iterable[int]) -> None:
        """See :meth:`mmps.index.GalleryIndex.remove`."""
        ids = [int(row_id) for row_id in row_ids]
        with self._changing, self._talking():
            for begin in range(0, len(ids), _BATCH):
                self._client.delete(self._rows, ids=ids[begin : begin + _BATCH])

    def search(
        self, embeddings: NDArray[np.float32], *, k: int, filters: Filters | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See :meth:`mmps.index.GalleryIndex.search`."""
        queries = unit_rows(embeddings, self._embed_dim)
        similarities, row_ids = nothing_found(len(queries), k)
        limit = min(k, MAX_K)
        with self._talking():
            answers = self._client.search(
                self._rows,
                data=list(queries),
                anns_field='embedding',
                limit=limit,
                filter=_expression(filters),
                search_params={'params': {'ef': min(max(4 * limit, 256), 2 * MAX_K)}},
                consistency_level=_UP_TO_DATE,
            )
        for i, hits in enumerate(answers):
            similarities[i, : len(hits)] = [hit['distance'] for hit in hits]
            row_ids[i, : len(hits)] = [hit['row_id'] for hit in hits]
        return similarities, row_ids

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Turn what goes wrong between us and Milvus into one line."""
        try:
            yield
        except MilvusException as error:
            raise ConnectionError(
                f'Milvus at {self._uri}: {error.message}. Is it running, and is MILVUS_TOKEN set '
                'if it asks for one?'
            ) from error

    def _load(self, gallery: Gallery, name: str, shard: Path) -> None:
        """Write the rows of a shard, those that are there already as well."""
        try:
            rows = gallery.read(shard, COLUMNS)
        except FileNotFoundError:  # deleted since
            return
        self._note(name, loaded=False)
        for begin in range(0, len(rows), _BATCH):
            self._client.upsert(self._rows, _entities(rows.slice(begin, _BATCH), name))
        self._note(name, loaded=True)

    def _noted(self) -> dict[str, bool]:
        """The shards that rows were written of, and whether all of them were."""
        pages = self._client.query_iterator(
            self._shards,
            filter='name != ""',
            output_fields=['name', 'loaded'],
            consistency_level=_UP_TO_DATE,
        )
        noted: dict[str, bool] = {}
        while page := pages.next():
            noted |= {row['name']: row['loaded'] for row in page}
        pages.close()
        return noted

    def _note(self, name: str, *, loaded: bool) -> None:
        self._client.upsert(self._shards, [dict(name=name, loaded=loaded, unused=[0.0, 1.0])])

    def _create_rows(self) -> None:
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field('row_id', DataType.INT64, is_primary=True)
        schema.add_field('embedding', DataType.FLOAT_VECTOR, dim=self._embed_dim)
        schema.add_field('camera', DataType.VARCHAR, max_length=_MAX_NAME, is_partition_key=True)
        schema.add_field('source', DataType.VARCHAR, max_length=_MAX_NAME)
        schema.add_field('time', DataType.DOUBLE, nullable=True)
        schema.add_field('shard', DataType.VARCHAR, max_length=_MAX_NAME)
        indexes = self._client.prepare_index_params()
        hnsw = dict(M=32, efConstruction=200)
        indexes.add_index('embedding', index_type='HNSW', metric_type='COSINE', params=hnsw)
        for field in ('source', 'time', 'shard'):
            indexes.add_index(field, index_type='INVERTED')
        self._create(self._rows, schema, indexes)

    def _create_shards(self) -> None:
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field('name', DataType.VARCHAR, is_primary=True, max_length=_MAX_NAME)
        schema.add_field('loaded', DataType.BOOL)
        schema.add_field('unused', DataType.FLOAT_VECTOR, dim=2)  # Milvus wants a vector
        indexes = self._client.prepare_index_params()
        indexes.add_index('unused', index_type='FLAT', metric_type='L2')
        self._create(self._shards, schema, indexes)

    def _create(self, name: str, schema: CollectionSchema, indexes: IndexParams) -> None:
        self._client.create_collection(name, schema=schema, consistency_level=_UP_TO_DATE)
        # No index of nothing needs waiting for; the client sleeps half a second over each.
        self._client.create_index(name, indexes, sync=False)
        self._client.load_collection(name)


def _entities(rows: pa.Table, shard: str) -> list[dict[str, Any]]:
    embeddings = to_arrays(rows['embedding'])
    return [
        row
        | dict(
            embedding=embedding,
            time=None if math.isnan(row['time']) else row['time'],
            shard=shard,
        )
        for row, embedding in zip(rows.drop(['embedding']).to_pylist(), embeddings, strict=True)
    ]


def _expression(filters: Filters | None) -> str:
    """The filters in Milvus' language."""
    terms = []
    if filters is not None:
        if filters.cameras is not None:
            terms.append(f'camera in {_quoted(filters.cameras)}')
        if filters.sources is not None:
            terms.append(f'source in {_quoted(filters.sources)}')
        if filters.time is not None:
            begin, end = np.clip(filters.time, -1e300, 1e300)  # it knows no infinity
            terms.append(f'time >= {begin} and time <= {end}')
    return ' and '.join(terms)


def _quoted(value: str | Sequence[str]) -> str:
    """Texts as Milvus reads them, which is as JSON does."""
    return json.dumps(value, ensure_ascii=False)
