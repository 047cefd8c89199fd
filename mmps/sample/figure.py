"""Drawing one person: the order in which the parts cover each other."""

from collections.abc import Callable
from functools import partial

import numpy as np

from .appearance import Appearance
from .bags import (
    bag_nearness,
    draw_backpack,
    draw_handbag,
    draw_shoulder_bag,
    draw_sling,
    draw_straps,
)
from .body import Body
from .canvas import Sprite
from .head import draw_head, draw_long_hair
from .pose import Pose


def draw_figure(
    looks: Appearance, pose: Pose, height: float, *, light: float, rng: np.random.Generator
) -> Sprite:
    """A person as a sprite whose anchor lies between the feet.

    Args:
        looks: The person.
        pose: Joint angles and the side that is seen.
        height: Pixels of a person of average stature standing upright.
        light: -1 lit from the left ... 1 lit from the right.
        rng: For the folds of the cloth.
    """
    body = Body(looks, pose, height * looks.stature, light=light, rng=rng)
    bones = body.bones
    for leg in sorted(bones.legs, key=lambda joints: bones.nearness(joints[1])):
        body.leg(leg)
    body.hips()
    # The rest from far to near; a place just in front of the trunk is a small positive one.
    parts: list[tuple[float, Callable[[], None]]] = [
        (0.0, body.torso),
        (0.05, partial(draw_head, body)),
    ]
    for arm in bones.arms:
        near = bones.nearness(0.5 * (arm[0] + arm[1]))
        parts.append((near + 0.02, partial(body.arm, arm)))
    if looks.hair_style in ('long', 'ponytail'):
        # Falling down the back: before the head where the face shows, else over the trunk.
        parts.append((-0.08 * body.front - 0.001, partial(draw_long_hair, body)))
    if looks.bag == 'backpack':
        parts.append((-0.15 * body.front, partial(draw_backpack, body)))
        if body.front > 0.1:
            parts.append((0.001, partial(draw_straps, body)))
    elif looks.bag == 'shoulderbag':
        parts.append((0.001, partial(draw_sling, body)))
        parts.append((bag_nearness(body), partial(draw_shoulder_bag, body)))
    elif looks.bag == 'handbag':
        hand = bones.arms[1][2]
        parts.append((bones.nearness(hand) + 0.01, partial(draw_handbag, body)))
    for _, paint in sorted(parts, key=lambda part: part[0]):
        paint()
    return body.canvas.sprite((float(body.origin[0]), float(body.origin[1])))
