"""Boxes of people in a scene: which one was clicked, and how they are drawn.

Scenes are BGR arrays as OpenCV reads them, pictures for the page RGB. Points are x, y, boxes x1,
y1, x2, y2 in pixels of the scene.
"""

from typing import TypeAlias

import cv2
import numpy as np

from mmps.visualization.person_search_visualizer import QUERY_COLOR, TRUTH_COLOR

Color: TypeAlias = tuple[int, int, int]

PERSON_COLOR: Color = TRUTH_COLOR
CHOSEN_COLOR: Color = QUERY_COLOR

_MIN_SIDE = 8
_OUTLINE = (0, 0, 0)


def person_at(bboxes: np.ndarray, point: tuple[float, float]) -> int | None:
    """The box that was clicked: of several that hold the point the smallest, as it lies inside.

    Args:
        bboxes: (N, 4).
        point: where.

    Returns:
        Its number; None if no box holds the point.
    """
    x, y = point
    hit = (bboxes[:, 0] <= x) & (x <= bboxes[:, 2]) & (bboxes[:, 1] <= y) & (y <= bboxes[:, 3])
    if not hit.any():
        return None
    areas = (bboxes[:, 2] - bboxes[:, 0]) * (bboxes[:, 3] - bboxes[:, 1])
    return int(np.where(hit, areas, np.inf).argmin())


def box_of_corners(first: tuple[float, float], second: tuple[float, float]) -> np.ndarray:
    """A box from two opposite corners in any order, (4,) float32.

    Raises:
        ValueError: if it is narrower or lower than 8 pixels.
    """
    corners = np.array([first, second], np.float32)
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    if (box[2:] - box[:2] < _MIN_SIDE).any():
        raise ValueError(f'The two corners are less than {_MIN_SIDE} pixels apart: try again')
    return box


def draw_people(
    scene: np.ndarray,
    bboxes: np.ndarray,
    *,
    chosen: np.ndarray | None = None,
    corner: tuple[float, float] | None = None,
) -> np.ndarray:
    """Draw people to choose from, the chosen one, and the first corner of a box.

    Args:
        scene: (H, W, 3) uint8, BGR.
        bboxes: the people, (N, 4).
        chosen: box of the one who is looked for, (4,).
        corner: a point that was clicked.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    picture = np.ascontiguousarray(scene[..., ::-1])
    for bbox in bboxes:
        _draw_box(picture, bbox, PERSON_COLOR)
    if chosen is not None:
        _draw_box(picture, chosen, CHOSEN_COLOR, heavy=True)
    if corner is not None:
        width = _line_width(picture)
        center = round(corner[0]), round(corner[1])
        for color, radius in ((_OUTLINE, 4 * width), (CHOSEN_COLOR, 3 * width)):
            cv2.circle(picture, center, radius, color, -1, cv2.LINE_AA)
    return picture


def decode_thumbnail(jpeg: bytes) -> np.ndarray:
    """RGB array of a thumbnail; a grey patch where there is none."""
    if not jpeg:
        return np.full((128, 48, 3), 128, np.uint8)
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None, 'this package wrote it'
    return np.ascontiguousarray(decoded[..., ::-1])


def _draw_box(picture: np.ndarray, bbox: np.ndarray, color: Color, *, heavy: bool = False) -> None:
    """A box with a dark outline, so that it is seen on any ground."""
    width = _line_width(picture) * (2 if heavy else 1)
    x1, y1, x2, y2 = np.round(bbox).astype(int).tolist()
    for line, thickness in ((_OUTLINE, width + 2 * max(1, width // 3)), (color, width)):
        cv2.rectangle(picture, (x1, y1), (x2, y2), line, thickness)


def _line_width(picture: np.ndarray) -> int:
    """Pictures are scaled to the page: lines as wide there, whatever the picture's size."""
    return max(2, round(max(picture.shape[:2]) / 300))
