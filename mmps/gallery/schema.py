"""The rows of a gallery: one row is one detected person.

Shapes: N persons of one image, D dimensions of an embedding.
"""

import hashlib
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

THUMBNAIL_HEIGHT = 128
"""Crops higher than this many pixels are scaled down to it."""

JPEG_QUALITY = 85

LARGE_COLUMNS = ('embedding', 'thumbnail')
"""The columns that nearly all bytes of a gallery are in."""


def gallery_schema(embed_dim: int) -> pa.Schema:
    """Columns of a gallery's rows.

    ======================== ================================================================
    row_id                   int64, :func:`row_id`: the key of a row everywhere
    source                   file of the image or video
    frame                    int32, number of the frame in the video from 0; 0 for an image
    time                     float64, seconds since 1970 if the start of the source is known,
                             else since the video's beginning; NaN for an image without a time
    camera                   its name, '' if unknown
    image_width/image_height int32, of the frame in pixels
    bbox                     4 float32: x1, y1, x2, y2 in pixels of the frame
    score                    float32, of the detection
    embedding                D float32 of norm 1
    thumbnail                JPEG of the crop, at most ``THUMBNAIL_HEIGHT`` pixels high
    ======================== ================================================================

    Args:
        embed_dim: D.
    """
    fields = [
        ('row_id', pa.int64()),
        ('source', pa.string()),
        ('frame', pa.int32()),
        ('time', pa.float64()),
        ('camera', pa.string()),
        ('image_width', pa.int32()),
        ('image_height', pa.int32()),
        ('bbox', pa.list_(pa.float32(), 4)),
        ('score', pa.float32()),
        ('embedding', pa.list_(pa.float32(), embed_dim)),
        ('thumbnail', pa.binary()),
    ]
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields])


def row_id(source: str, frame: int, number: int) -> int:
    """Identifier of a row: the first 63 bits of a SHA-256, so that it is the same in every run.

    Args:
        source: as in the row.
        frame: as in the row.
        number: place of the detection among those of its frame, from 0.
    """
    digest = hashlib.sha256(f'{source}\0{frame}\0{number}'.encode()).digest()
    return int.from_bytes(digest[:8], 'big') >> 1


def make_rows(
    source: str,
    frame: int,
    *,
    image: NDArray[np.uint8],
    bboxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    time: float = float('nan'),
    camera: str = '',
) -> pa.Table:
    """Rows of the persons of one frame.

    Args:
        source: file of the image or video.
        frame: number of the frame in the video from 0; 0 for an image.
        image: the frame, BGR, (H, W, 3); thumbnails are cut from it.
        bboxes: (N, 4), x1, y1, x2, y2 in pixels of the frame.
        scores: (N,).
        embeddings: (N, D) of norm 1.
        time: as in :func:`gallery_schema`.
        camera: its name, '' if unknown.

    Returns:
        N rows of :func:`gallery_schema`.
    """
    count, embed_dim = embeddings.shape
    assert bboxes.shape == (count, 4), bboxes.shape
    assert scores.shape == (count,), scores.shape
    height, width = image.shape[:2]
    schema = gallery_schema(embed_dim)
    columns = {
        'row_id': [row_id(source, frame, number) for number in range(count)],
        'source': [source] * count,
        'frame': [frame] * count,
        'time': [time] * count,
        'camera': [camera] * count,
        'image_width': [width] * count,
        'image_height': [height] * count,
        'bbox': _fixed_lists(bboxes),
        'score': scores.astype(np.float32),
        'embedding': _fixed_lists(embeddings),
        'thumbnail': [thumbnail(image, bbox) for bbox in bboxes],
    }
    return pa.table(columns, schema=schema)


def thumbnail(image: NDArray[np.uint8], bbox: NDArray[np.float32]) -> bytes:
    """JPEG of a crop, at most ``THUMBNAIL_HEIGHT`` pixels high.

    Args:
        image: BGR, (H, W, 3).
        bbox: x1, y1, x2, y2 in pixels; clipped to the image, at least one pixel of which is taken.
    """
    height, width = image.shape[:2]
    x1, y1 = np.clip(np.floor(bbox[:2]), 0, (width - 1, height - 1)).astype(int)
    x2, y2 = np.clip(np.ceil(bbox[2:]), (x1 + 1, y1 + 1), (width, height)).astype(int)
    crop: NDArray[Any] = image[y1:y2, x1:x2]
    if len(crop) > THUMBNAIL_HEIGHT:
        size = (max(1, round((x2 - x1) * THUMBNAIL_HEIGHT / len(crop))), THUMBNAIL_HEIGHT)
        crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode('.jpg', crop, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return bytes(jpeg)


def to_arrays(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """A column of fixed lists, such as ``bbox`` or ``embedding``, as an array (N, length)."""
    length = column.type.list_size
    parts = [chunk.flatten().to_numpy().reshape(-1, length) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.zeros((0, length), dtype=np.float32)


def _fixed_lists(values: NDArray) -> pa.FixedSizeListArray:
    flat = np.ascontiguousarray(values, dtype=np.float32).ravel()
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), values.shape[1])
