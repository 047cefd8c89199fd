"""Painting shaded shapes, and sprites: pictures with an outline that go into a scene."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from cv2.typing import MatLike

Image = MatLike
"""uint8: RGB (h, w, 3), or a mask (h, w)."""
Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sprite:
    """A picture with soft edges.

    ``color`` is RGB (h, w, 3) already multiplied by ``alpha`` (h, w), both uint8. ``anchor`` is
    the point (x, y) of the picture that stands on the ground.
    """

    color: Image
    alpha: Image
    anchor: tuple[float, float]


def soft_noise(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> MatLike:
    """Smooth random values of about unit variance with features ``grain`` pixels wide."""
    small = tuple(max(int(np.ceil(side / grain)) + 3, 4) for side in shape)
    noise = rng.standard_normal(small, dtype=np.float32)
    return cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


@lru_cache(maxsize=1)
def _folds() -> MatLike:
    """Soft random light and dark, as of folds in cloth; a fixed pattern to cut pieces from."""
    noise = np.random.default_rng(0).normal(size=(512, 512)).astype(np.float32)
    wide = cv2.GaussianBlur(noise, (0, 0), 9) * 16
    fine = cv2.GaussianBlur(noise, (0, 0), 3) * 4
    return np.clip(1 + 0.055 * wide + 0.03 * fine, 0.75, 1.25)


class Canvas:
    """A transparent picture to paint on at twice the wanted size; ``sprite`` halves it."""

    oversampling = 2

    def __init__(self, height: int, width: int, *, light: float, rng: np.random.Generator) -> None:
        self.color = np.zeros((height, width, 3), np.uint8)
        self.alpha = np.zeros((height, width), np.uint8)
        self._light = light
        self._fold_origin = rng.integers(0, 256, 2)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, before halving."""
        return self.alpha.shape[0], self.alpha.shape[1]

    def limb(
        self, start: Points, end: Points, radii: tuple[float, float], fill: Image | tuple[int, ...]
    ) -> None:
        """A tapered, round-ended cylinder between two points (pixels)."""
        along = end - start
        length = max(float(np.hypot(*along)), 1e-6)
        normal = np.array([-along[1], along[0]]) / length
        circles = []
        for centre, radius in ((start, radii[0]), (end, radii[1])):
            turn = np.linspace(0, 2 * np.pi, 13)[:-1]
            circles.append(centre + radius * np.stack([np.cos(turn), np.sin(turn)], 1))
        hull = cv2.convexHull(np.concatenate(circles).astype(np.float32))[:, 0]
        self.polygon(hull, fill, axis=(start, normal, max(radii)))

    def ellipse(
        self,
        centre: Points,
        axes: tuple[float, float],
        fill: Image | tuple[int, ...],
        *,
        angle: float = 0.0,
    ) -> None:
        """An ellipse with half axes in pixels, turned by ``angle`` radians."""
        turn = np.linspace(0, 2 * np.pi, 25)[:-1]
        points = np.stack([axes[0] * np.cos(turn), axes[1] * np.sin(turn)], 1)
        cos, sin = np.cos(angle), np.sin(angle)
        points = centre + points @ np.array([[cos, sin], [-sin, cos]])
        self.polygon(points, fill, axis=(centre, np.array([1.0, 0.0]), axes[0]))

    def polygon(
        self,
        points: npt.ArrayLike,
        fill: Image | tuple[int, ...],
        *,
        axis: tuple[Points, Points, float] | None = None,
    ) -> None:
        """A filled polygon.

        Args:
            points: Corners (n, 2) in pixels.
            fill: A colour, or a picture of the canvas's size to cut from.
            axis: Point, unit normal and radius of the rounded form that the polygon shows:
                its sides turn darker, the side of the light brighter. None paints it flat.
        """
        corners = np.asarray(points, dtype=np.float64)
        height, width = self.shape
        x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
        x1, y1 = np.minimum(np.ceil(corners.max(0)).astype(int) + 2, (width, height))
        if x1 <= x0 or y1 <= y0:
            return
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        fixed = np.round((corners - (x0, y0)) * 16).astype(np.int32)
        cv2.fillPoly(mask, [fixed[:, None]], 255, shift=4)
        if isinstance(fill, tuple):
            patch = np.empty((*mask.shape, 3), np.uint8)
            patch[:] = fill
        else:
            patch = fill[y0:y1, x0:x1]
        if axis is not None:
            patch = self._shaded(patch, (x0, y0), axis)
        cv2.copyTo(patch, mask, self.color[y0:y1, x0:x1])
        cv2.copyTo(mask, mask, self.alpha[y0:y1, x0:x1])

    def _shaded(
        self, patch: Image, origin: tuple[int, int], axis: tuple[Points, Points, float]
    ) -> Image:
        point, normal, radius = axis
        rows, cols = patch.shape[:2]
        xs = (np.arange(cols, dtype=np.float32) + (origin[0] - point[0])) * (normal[0] / radius)
        ys = (np.arange(rows, dtype=np.float32) + (origin[1] - point[1])) * (normal[1] / radius)
        across = np.clip(ys[:, None] + xs[None, :], -1.2, 1.2).astype(np.float32)
        if normal[0] < 0:
            across = -across
        shade = 1.05 - 0.24 * across * across + np.float32(0.16 * self._light) * across
        fold_y = (self._fold_origin[0] + np.arange(origin[1], origin[1] + rows)) % 512
        fold_x = (self._fold_origin[1] + np.arange(origin[0], origin[0] + cols)) % 512
        shade *= _folds()[np.ix_(fold_y, fold_x)]
        return cv2.multiply(patch, cv2.merge([shade, shade, shade]), dtype=cv2.CV_8U)

    def sprite(self, anchor: tuple[float, float]) -> Sprite:
        """The painting at its wanted size; ``anchor`` is in pixels of the canvas."""
        factor = self.oversampling
        size = (self.shape[1] // factor, self.shape[0] // factor)
        return Sprite(
            color=cv2.resize(self.color, size, interpolation=cv2.INTER_AREA),
            alpha=cv2.resize(self.alpha, size, interpolation=cv2.INTER_AREA),
            anchor=(anchor[0] / factor, anchor[1] / factor),
        )
