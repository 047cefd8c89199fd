"""Galleries: detected persons of images and videos, kept in shards that everything is made from."""

from .coverage import Coverage, SourceEnd
from .schema import LARGE_COLUMNS, gallery_schema, make_rows, row_id, thumbnail, to_arrays
from .shards import ShardVersion, shard_version
from .store import Gallery, SourceStatus
from .tracks import link_tracks

__all__ = [
    'LARGE_COLUMNS',
    'Coverage',
    'Gallery',
    'ShardVersion',
    'SourceEnd',
    'SourceStatus',
    'gallery_schema',
    'link_tracks',
    'make_rows',
    'row_id',
    'shard_version',
    'thumbnail',
    'to_arrays',
]
