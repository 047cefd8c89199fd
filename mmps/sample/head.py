"""Head, hair and hat."""

import numpy as np

from .body import Body, darker
from .pose import Vector


def draw_head(body: Body) -> None:
    """Neck, head, hair and hat."""
    looks, neck = body.looks, body.bones.shoulder
    middle = np.array([0.0, neck + 0.118, body.bones.lean + 0.012])
    body.limb(
        np.array([0.0, neck + 0.01, body.bones.lean]),
        middle - np.array([0.0, 0.04, 0.0]),
        (0.03, 0.027),
        darker(looks.skin, 0.86),
    )
    wide = body.bones.half_width(0.054, 0.062)
    body.oval(middle, (wide, 0.073), looks.skin)
    bald = looks.hair_style == 'bald'
    hair = darker(looks.skin, 0.97) if bald else looks.hair_color
    if looks.hair_style == 'bun':
        body.oval(middle + np.array([0.0, 0.062, -0.045]), (0.03, 0.027), hair)
    if not bald:
        body.oval(middle + np.array([0.0, 0.016, -0.012]), (wide * 1.08, 0.067), hair)
    if body.front > -0.45:
        _draw_face(body, middle, wide)
    if looks.hat == 'none':
        return
    brim = middle + np.array([0.0, 0.034, 0.0])
    turn = np.linspace(np.pi, 2 * np.pi, 13)
    crown = np.stack([np.cos(turn) * wide * 1.16, np.sin(turn) * 0.062], 1)
    centre = body.at(brim)
    body.canvas.polygon(
        centre + body.unit * crown,
        looks.hat_color,
        axis=(centre, np.array([1.0, 0.0]), wide * 1.16 * body.unit),
    )
    if looks.hat == 'cap':
        body.limb(
            brim + np.array([0.0, 0.004, 0.03]),
            brim + np.array([0.0, -0.006, 0.095]),
            (0.02, 0.014),
            darker(looks.hat_color, 0.8),
        )


def _draw_face(body: Body, middle: Vector, wide: float) -> None:
    skin = body.looks.skin
    # The visible part of the face: all of it from the front, a sliver from the side.
    seen = wide * (0.62 + 0.26 * body.front)
    centre = body.at(middle) + body.unit * np.array([body.side * (wide - seen) * 0.95, 0.012])
    body.canvas.ellipse(centre, (seen * body.unit, 0.054 * body.unit), skin)
    dark = darker(skin, 0.35)
    for offset in (-0.019, 0.019):
        eye = middle + np.array([offset, 0.004, 0.05])
        if body.bones.nearness(eye) > 0.015:
            body.oval(eye, (0.0065, 0.006), dark)
    mouth = middle + np.array([0.0, -0.034, 0.05])
    if body.bones.nearness(mouth) > 0.015:
        body.oval(mouth, (0.014 * max(body.front, 0.4), 0.004), darker(skin, 0.6))


def draw_long_hair(body: Body) -> None:
    """Hair that falls down the back."""
    neck = body.bones.shoulder
    crown = np.array([0.0, neck + 0.13, -0.02])
    if body.looks.hair_style == 'long':
        tips = np.array([0.0, neck - 0.03, -0.035])
        wide = body.bones.half_width(0.056, 0.04)
        body.limb(crown, tips, (wide, wide * 1.05), body.looks.hair_color)
    else:
        knot = np.array([0.0, neck + 0.13, -0.06])
        body.limb(
            knot, knot + np.array([0.0, -0.14, -0.025]), (0.022, 0.014), body.looks.hair_color
        )
