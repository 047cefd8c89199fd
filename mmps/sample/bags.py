"""Backpacks, shoulder bags and handbags."""

import numpy as np

from .body import Body, darker
from .pose import Vector


def draw_backpack(body: Body) -> None:
    """A backpack, seen from behind or beside the body."""
    bones, color = body.bones, body.looks.bag_color
    wide = bones.half_width(0.086, 0.052)
    centre = np.array([0.0, bones.shoulder - 0.12, -(bones.depth + 0.052)])
    middle = body.at(centre)
    turn = np.linspace(0, 2 * np.pi, 33)[:-1]
    # A rounded box: a superellipse.
    box = np.stack(
        [
            np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.5 * wide,
            np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.5 * 0.125,
        ],
        1,
    )
    axis = (middle, np.array([1.0, 0.0]), wide * body.unit)
    body.canvas.polygon(middle + body.unit * box, color, axis=axis)
    if body.front < 0:
        pocket = middle + body.unit * (box * (0.72, 0.42) + (0.0, 0.05))
        body.canvas.polygon(pocket, darker(color, 0.72), axis=axis)


def draw_straps(body: Body) -> None:
    """A backpack's straps over the chest."""
    bones = body.bones
    for sign in (-1.0, 1.0):
        lateral = sign * 0.62 * bones.shoulder_width
        body.limb(
            np.array([lateral, bones.shoulder + 0.012, bones.depth * 0.6]),
            np.array([lateral, bones.shoulder - 0.16, bones.depth * 0.9]),
            (0.014, 0.012),
            darker(body.looks.bag_color, 0.85),
        )


def _bag_place(body: Body) -> Vector:
    bones = body.bones
    return np.array([bones.hip_width + 0.05, bones.hip - 0.01, 0.0])


def bag_nearness(body: Body) -> float:
    """How near to the camera a shoulder bag hangs."""
    return body.bones.nearness(_bag_place(body)) + 0.03


def draw_shoulder_bag(body: Body) -> None:
    """A bag at the left hip."""
    place = _bag_place(body)
    wide = body.bones.half_width(0.035, 0.085)
    color = body.looks.bag_color
    body.oval(place, (wide, 0.068), color)
    body.oval(place + np.array([0.0, 0.03, 0.0]), (wide, 0.036), darker(color, 0.75))


def draw_sling(body: Body) -> None:
    """The strap of a shoulder bag across the trunk."""
    bones = body.bones
    depth = bones.depth * (0.9 if body.front > 0 else -0.9)
    body.limb(
        np.array([-0.6 * bones.shoulder_width, bones.shoulder + 0.014, depth * 0.4]),
        np.array([bones.hip_width, bones.hip + 0.04, depth]),
        (0.011, 0.011),
        darker(body.looks.bag_color, 0.8),
    )


def draw_handbag(body: Body) -> None:
    """A bag in the right hand."""
    hand = body.bones.arms[1][2]
    color = body.looks.bag_color
    wide = body.bones.half_width(0.035, 0.075)
    grip = body.at(hand)
    centre = body.at(hand - np.array([0.0, 0.105, 0.0]))
    for side in (-0.55, 0.55):
        end = centre + body.unit * np.array([side * wide, -0.05])
        thickness = 0.007 * body.unit
        body.canvas.limb(grip, end, (thickness, thickness), darker(color, 0.6))
    corners = np.array([[-0.8, -0.05], [0.8, -0.05], [1.0, 0.06], [-1.0, 0.06]])
    box = centre + body.unit * corners * (wide, 1.0)
    body.canvas.polygon(box, color, axis=(centre, np.array([1.0, 0.0]), wide * body.unit))
