"""Whom a user looks for: a scene with people, and the one of them who was chosen.

Every step gives a new query: several users, or one who clicks faster than the model answers, never
change what another step works on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from mmps.apis.persons import Persons

from .pictures import box_of_corners, draw_people, person_at

_MIN_SHOWN, _MAX_SHOWN = 960, 1600  # longer side of a picture: fills its place, loads fast

Point = tuple[float, float]
"""x and y in pixels."""

Embed = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From a BGR scene and boxes (N, 4) in its pixels to embeddings (N, D)."""


@dataclass(frozen=True)
class Query:
    """A scene, the people in it, and whom of them to look for.

    Attributes:
        scene: BGR array (H, W, 3).
        name: where it is from, for people to read.
        persons: who was detected.
        bbox: of the one chosen, (4,); None while nobody is.
        embedding: of the one chosen, (1, D); None while nobody is.
        corner: the first corner of a box of the user's own, in pixels of the scene.
    """

    scene: np.ndarray = field(repr=False)
    name: str
    persons: Persons = field(repr=False)
    bbox: np.ndarray | None = None
    embedding: np.ndarray | None = field(default=None, repr=False)
    corner: Point | None = None

    @property
    def scale(self) -> float:
        """Pixels of the scene for each pixel of :meth:`picture`."""
        longer = max(self.scene.shape[:2])
        return longer / min(max(longer, _MIN_SHOWN), _MAX_SHOWN)

    def picture(self) -> np.ndarray:
        """What the user sees, RGB: the people, the one chosen, a corner; 960 to 1600 pixels."""
        scene, scale = self.scene, self.scale
        if scale != 1:
            size = (round(scene.shape[1] / scale), round(scene.shape[0] / scale))
            how = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
            scene = cv2.resize(scene, size, interpolation=how)
        return draw_people(
            scene,
            self.persons.bboxes / scale,
            chosen=None if self.bbox is None else self.bbox / scale,
            corner=None if self.corner is None else self._scaled(self.corner, 1 / scale),
        )

    def click(self, point: Point) -> 'Query':
        """Choose the person at a point of :meth:`picture`.

        Raises:
            ValueError: if nobody was detected there; the message says what to do.
        """
        person = person_at(self.persons.bboxes, self._scaled(point, self.scale))
        if person is None:
            raise ValueError(
                'Nobody was detected there. Click inside a yellow box, or choose '
                '“Mark someone by two corners”.'
            )
        return replace(
            self,
            bbox=self.persons.bboxes[person],
            embedding=self.persons.embeddings[person : person + 1],
            corner=None,
        )

    def mark(self, point: Point, *, embed: Embed) -> 'Query':
        """Take a point of :meth:`picture` as a corner of a box; the second one chooses the box.

        Raises:
            ValueError: if the corners are too close to each other.
        """
        corner = self._scaled(point, self.scale)
        if self.corner is None:
            return replace(self, corner=corner, bbox=None, embedding=None)
        bbox = box_of_corners(self.corner, corner)
        return replace(self, bbox=bbox, embedding=embed(self.scene, bbox[None]), corner=None)

    @staticmethod
    def _scaled(point: Point, factor: float) -> Point:
        return point[0] * factor, point[1] * factor
