"""Things that stand in the street and hide people: parked cars and street furniture."""

import numpy as np
import numpy.typing as npt

from .appearance import RGB
from .canvas import Canvas, Sprite

Points = npt.NDArray[np.float64]

CAR_COLORS: tuple[RGB, ...] = (
    (206, 208, 210),
    (44, 46, 50),
    (128, 132, 138),
    (136, 36, 38),
    (42, 62, 104),
    (74, 90, 78),
)
FURNITURE = {'bench': 0.9, 'bin': 0.3, 'bollard': 0.12, 'lamp': 0.15, 'planter': 0.65, 'sign': 0.07}
"""Half the width in metres of what stands on the ground."""

_GLASS: RGB = (58, 68, 78)
_TYRE: RGB = (26, 26, 28)
_STEEL: RGB = (92, 94, 98)
_MIDDLE = np.array([1.0, 0.0])


class _Plan:
    """A canvas with the origin on the ground, x right and y up, in metres."""

    def __init__(
        self,
        size: tuple[float, float],
        unit: float,
        *,
        light: float,
        rng: np.random.Generator,
        mirror: bool = False,
    ) -> None:
        self.unit = unit * Canvas.oversampling
        rows, cols = (2 * int(np.ceil(side * self.unit / 2)) + 4 for side in (size[1], size[0]))
        self.canvas = Canvas(rows, cols, light=light, rng=rng)
        self.origin = np.array([cols / 2, rows - 0.06 * self.unit - 2])
        self._flip = np.array([-1.0 if mirror else 1.0, -1.0])

    def at(self, points: npt.ArrayLike) -> Points:
        return self.origin + self.unit * np.asarray(points, dtype=np.float64) * self._flip

    def shape(self, points: npt.ArrayLike, color: RGB, *, round_: float = 0.0) -> None:
        """A polygon; ``round_`` is the half width in metres of the rounded form it shows."""
        corners = self.at(points)
        axis = (corners.mean(0), _MIDDLE, round_ * self.unit) if round_ else None
        self.canvas.polygon(corners, color, axis=axis)

    def wheel(self, x: float, radius: float) -> None:
        for part, color in ((1.0, _TYRE), (0.6, (150, 152, 156))):
            axes = (part * radius * self.unit,) * 2
            self.canvas.ellipse(self.at([x, radius]), axes, color)

    def sprite(self) -> Sprite:
        return self.canvas.sprite((float(self.origin[0]), float(self.origin[1])))


def _box(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def draw_car(rng: np.random.Generator, unit: float, *, light: float, side_on: bool) -> Sprite:
    """A parked car seen from its side or from behind; ``unit`` is pixels per metre."""
    base = np.array(CAR_COLORS[int(rng.integers(len(CAR_COLORS)))]) + rng.normal(0, 8, 3)
    red, green, blue = np.clip(base, 10, 235).astype(int).tolist()
    color: RGB = (red, green, blue)
    dark: RGB = (red * 2 // 3, green * 2 // 3, blue * 2 // 3)
    mirror = bool(rng.random() < 0.5)
    tall = float(rng.uniform(0.95, 1.15))
    if not side_on:
        plan = _Plan((1.9, 1.8), unit, light=light, rng=rng)
        plan.shape(_box(-0.78, 0.0, -0.5, 0.4), _TYRE)
        plan.shape(_box(0.5, 0.0, 0.78, 0.4), _TYRE)
        cabin = [(-0.8, 0.85), (0.8, 0.85), (0.6, 1.42 * tall), (-0.6, 1.42 * tall)]
        plan.shape(cabin, dark, round_=1.1)
        window = [(-0.66, 0.93), (0.66, 0.93), (0.52, 1.34 * tall), (-0.52, 1.34 * tall)]
        plan.shape(window, _GLASS, round_=0.9)
        body = [(-0.86, 0.3), (0.86, 0.3), (0.88, 0.7), (0.82, 0.95), (-0.82, 0.95), (-0.88, 0.7)]
        plan.shape(body, color, round_=1.1)
        plan.shape(_box(-0.86, 0.22, 0.86, 0.4), dark)
        plan.shape(_box(-0.26, 0.5, 0.26, 0.64), (214, 214, 206))
        plan.shape(_box(-0.85, 0.66, -0.58, 0.82), (150, 34, 30))
        plan.shape(_box(0.58, 0.66, 0.85, 0.82), (150, 34, 30))
        return plan.sprite()
    plan = _Plan((4.6, 1.8), unit, light=light, rng=rng, mirror=mirror)
    top = 1.44 * tall
    cabin = [(-1.75, 0.86), (-1.35, top - 0.06), (-1.0, top), (0.35, top), (1.15, 0.86)]
    plan.shape(cabin, color, round_=2.6)
    plan.shape([(-1.5, 0.9), (-1.2, top - 0.12), (-0.42, top - 0.08), (-0.42, 0.9)], _GLASS)
    plan.shape([(-0.32, 0.9), (-0.32, top - 0.08), (0.3, top - 0.1), (0.98, 0.9)], _GLASS)
    body = [
        (-2.1, 0.3),
        (-2.15, 0.62),
        (-2.0, 0.88),
        (1.1, 0.9),
        (1.95, 0.78),
        (2.12, 0.6),
        (2.1, 0.3),
    ]
    plan.shape(body, color, round_=3.0)
    plan.shape(_box(-2.1, 0.24, 2.1, 0.36), dark)
    plan.shape(_box(-0.38, 0.4, -0.35, 0.9), dark)
    plan.shape(_box(1.9, 0.6, 2.1, 0.7), (222, 214, 180))
    plan.shape(_box(-2.13, 0.64, -1.95, 0.76), (150, 34, 30))
    plan.wheel(-1.32, 0.32)
    plan.wheel(1.36, 0.32)
    return plan.sprite()


def draw_furniture(kind: str, rng: np.random.Generator, unit: float, *, light: float) -> Sprite:
    """A piece of street furniture (one of ``FURNITURE``); ``unit`` is pixels per metre."""
    if kind == 'bench':
        plan = _Plan((1.9, 1.0), unit, light=light, rng=rng)
        for x in (-0.7, 0.7):
            plan.shape(_box(x - 0.05, 0.0, x + 0.05, 0.85), _STEEL)
        for y in (0.4, 0.58, 0.74):
            plan.shape(_box(-0.88, y, 0.88, y + 0.11), (126, 92, 62), round_=1.4)
    elif kind == 'bin':
        plan = _Plan((0.7, 1.1), unit, light=light, rng=rng)
        plan.shape([(-0.24, 0), (0.24, 0), (0.28, 0.85), (-0.28, 0.85)], (58, 78, 66), round_=0.3)
        plan.shape(_box(-0.3, 0.85, 0.3, 0.97), (44, 50, 48), round_=0.32)
    elif kind == 'bollard':
        plan = _Plan((0.4, 1.1), unit, light=light, rng=rng)
        plan.shape(_box(-0.09, 0, 0.09, 0.92), (70, 72, 76), round_=0.1)
        plan.shape(_box(-0.09, 0.68, 0.09, 0.78), (204, 200, 190), round_=0.1)
    elif kind == 'lamp':
        plan = _Plan((0.9, 4.6), unit, light=light, rng=rng)
        plan.shape(_box(-0.07, 0, 0.07, 4.3), _STEEL, round_=0.08)
        plan.shape(_box(-0.13, 0, 0.13, 0.5), _STEEL, round_=0.14)
        plan.shape([(-0.2, 4.1), (0.2, 4.1), (0.3, 4.5), (-0.3, 4.5)], (206, 202, 186))
    elif kind == 'planter':
        plan = _Plan((1.7, 1.5), unit, light=light, rng=rng)
        plan.shape([(-0.62, 0), (0.62, 0), (0.7, 0.55), (-0.7, 0.55)], (142, 136, 128), round_=0.9)
        for x, y in rng.normal((0, 0.8), (0.3, 0.15), (60, 2)).clip((-0.7, 0.55), (0.7, 1.3)):
            shade = rng.uniform(0.75, 1.2)
            leaf = (int(66 * shade), int(96 * shade), int(54 * shade))
            radius = 0.1 * plan.unit
            plan.canvas.ellipse(plan.at([x, y]), (radius, radius), leaf)
    else:
        plan = _Plan((0.9, 2.9), unit, light=light, rng=rng)
        plan.shape(_box(-0.035, 0, 0.035, 2.7), _STEEL, round_=0.05)
        radius = 0.27 * plan.unit
        plan.canvas.ellipse(plan.at([0, 2.45]), (radius, radius), (168, 46, 44))
        plan.canvas.ellipse(plan.at([0, 2.45]), (0.75 * radius,) * 2, (222, 220, 214))
    return plan.sprite()
