"""Galleries: detected persons of images and videos, kept in shards that everything is made from."""

from .coverage import Coverage, SourceEnd, SourceStatus
from .deletion import DeletionReport
from .indexing import DEFAULT_FPS, IndexReport, Progress, index_sources
from .reading import Share
from .schema import LARGE_COLUMNS, gallery_schema, make_rows, row_id, thumbnail, to_arrays
from .shards import ShardVersion, shard_version
from .sources import UnreadableError, find_sources, is_video
from .store import Gallery
from .tracks import link_tracks

__all__ = [
    'DEFAULT_FPS',
    'LARGE_COLUMNS',
    'Coverage',
    'DeletionReport',
    'Gallery',
    'IndexReport',
    'Progress',
    'ShardVersion',
    'Share',
    'SourceEnd',
    'SourceStatus',
    'UnreadableError',
    'find_sources',
    'gallery_schema',
    'index_sources',
    'is_video',
    'link_tracks',
    'make_rows',
    'row_id',
    'shard_version',
    'thumbnail',
    'to_arrays',
]
