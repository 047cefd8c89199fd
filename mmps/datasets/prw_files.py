"""Readers of the files of which PRW consists (PRW-v16.04.20 as published).

``frame_train.mat`` and ``frame_test.mat`` list frames without their suffix (``c1s1_000151``);
``annotations/<frame>.jpg.mat`` holds one row (id, x, y, w, h) a person, in pixels of the frame;
``query_info.txt`` holds one line ``id x y w h frame`` a query. Shapes: N persons, Q queries.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .mat_files import read_mat, read_variable

UNKNOWN_ID = -2
"""What PRW writes for a person without identity."""

BOX_KEYS = ('box_new', 'anno_file', 'anno_previous')
"""Variables of an annotation file that may hold its rows, the corrected ones first."""

_CAMERA = re.compile(r'c(\d+)[^/\\]*$')


@dataclass(frozen=True)
class PRWQuery:
    """A line of ``query_info.txt``: whom to look for, and where they are seen.

    ``xywh`` is in pixels of ``frame``; ``line`` counts from 1.
    """

    person_id: int
    xywh: tuple[float, float, float, float]
    frame: str
    line: int


def read_frame_list(path: Path, key: str) -> list[str]:
    """Frames that the variable ``key`` of a frame listing names, in its order.

    Raises:
        ValueError: it is unreadable, lacks ``key``, lists nothing, or an entry is no frame name
            or occurs twice; the message names file and entry.
    """
    frames = []
    for number, entry in enumerate(read_variable(path, key).ravel(), start=1):
        # A cell array of strings has a one-element array in each cell.
        text = [str(part).strip() for part in np.ravel(entry)]
        if len(text) != 1 or not _CAMERA.match(text[0]):
            raise ValueError(
                f'{path}: entry {number} of {key!r} is {text}, not a frame name like c1s1_000151'
            )
        frames.append(text[0])
    if not frames:
        raise ValueError(f'{path}: {key!r} lists no frames')
    if len(set(frames)) != len(frames):
        twice = next(frame for frame in frames if frames.count(frame) > 1)
        raise ValueError(f'{path}: {key!r} lists the frame {twice} twice')
    return frames


def camera_of(frame: str) -> int:
    """Number of the camera, 1 to 6 in PRW, that a frame's name begins with."""
    match = _CAMERA.match(frame)
    assert match is not None, frame  # read_frame_list admits no other names
    return int(match.group(1))


def read_person_rows(path: Path) -> np.ndarray:
    """Rows (id, x, y, w, h) of an annotation file, unchanged.

    Returns:
        (N, 5) float64; N may be 0.

    Raises:
        ValueError: it is unreadable, holds none of ``BOX_KEYS``, or rows that are not five finite
            numbers led by an identity (a whole number >= 0, or -2); the message names file and row.
    """
    content = read_mat(path)
    key = next((key for key in BOX_KEYS if key in content), None)
    if key is None:
        raise ValueError(
            f'{path}: none of the variables {", ".join(BOX_KEYS)} in it, only {sorted(content)}'
        )
    rows = content[key]
    if rows.size == 0:
        return np.zeros((0, 5))
    if rows.ndim != 2 or rows.shape[1] != 5 or rows.dtype.kind not in 'iuf':
        raise ValueError(
            f'{path}: {key!r} must hold rows of five numbers (id, x, y, w, h), not an array of '
            f'shape {rows.shape} and type {rows.dtype}'
        )
    rows = rows.astype(np.float64)
    person_ids = rows[:, 0]
    valid = np.isfinite(rows).all(axis=1)
    valid &= ((person_ids >= 0) & (person_ids % 1 == 0)) | (person_ids == UNKNOWN_ID)
    if not valid.all():
        row = int(np.flatnonzero(~valid)[0])
        raise ValueError(
            f'{path}: row {row + 1} of {key!r} is {rows[row].tolist()}; wanted are five finite '
            f'numbers, the first an identity (a whole number >= 0, or {UNKNOWN_ID} for none)'
        )
    return rows


def read_queries(path: Path) -> list[PRWQuery]:
    """Queries of ``query_info.txt``; lines end in CRLF or LF, blank ones are passed over.

    Raises:
        ValueError: a line is not ``id x y w h frame``; the message gives file:line.
    """
    queries = []
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), start=1):
        if not line.strip():
            continue
        fields = line.split()
        try:
            person, x, y, w, h, frame = fields
            query = PRWQuery(int(person), (float(x), float(y), float(w), float(h)), frame, number)
        except ValueError:
            query = None
        if query is None or query.person_id < 0 or not np.isfinite(query.xywh).all():
            raise ValueError(
                f'{path}:{number}: {line.strip()!r} is not a query; wanted is "id x y w h frame" '
                'as in "479 1750 407 86 217 c1s3_016471"'
            )
        queries.append(query)
    if not queries:
        raise ValueError(f'{path}: no queries in it')
    return queries


def annotation_boxes(xywh: np.ndarray, *, truncate: bool) -> np.ndarray:
    """Corner boxes of annotated persons, as SeqNet's loader makes them.

    x, y, w and h are clipped at 0 from below (some of PRW's x and y are negative), added, and
    truncated to whole pixels if ``truncate``.

    Args:
        xywh: (N, 4) float64, pixels of the frame.
        truncate: whether to drop the fraction of every coordinate.

    Returns:
        (N, 4) float32 x1, y1, x2, y2.
    """
    boxes = np.clip(xywh, 0, None)
    boxes[:, 2:] += boxes[:, :2]
    return _rounded(boxes, truncate)


def query_boxes(xywh: np.ndarray, *, truncate: bool) -> np.ndarray:
    """Corner boxes of queries, as SeqNet's loader makes them: added, truncated, then clipped.

    That is not the order of :func:`annotation_boxes`: where x or y is negative the query's box
    ends further left or up than the annotation's. Published figures rest on both.

    Args:
        xywh: (Q, 4) float64, pixels of the frame.
        truncate: whether to drop the fraction of every coordinate.

    Returns:
        (Q, 4) float32 x1, y1, x2, y2.
    """
    boxes = xywh.copy()
    boxes[:, 2:] += boxes[:, :2]
    return _rounded(boxes, truncate).clip(0, None)


def _rounded(boxes: np.ndarray, truncate: bool) -> np.ndarray:
    return (np.trunc(boxes) if truncate else boxes).astype(np.float32)
