"""One frame: who stands where in front of which camera, and what is seen of them."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from .appearance import Appearance, draw_appearance
from .camera import PERSON_METRES, Camera, develop, draw_camera
from .canvas import Image, Sprite
from .figure import draw_figure
from .plan import ANONYMOUS
from .pose import draw_pose
from .props import FURNITURE, draw_car, draw_furniture
from .street import paint_street

# Streams of random numbers, besides those of the two splits (0 train, 1 test).
_APPEARANCES, _CAMERAS = 2, 3

HIDDEN = 0.7
"""A person of whom more than this share is hidden or outside the picture is not annotated."""
_ATTEMPTS = 40


@dataclass(frozen=True)
class Box:
    """An annotation: PRW id (-2 without identity); x, y, w, h in pixels; visible share."""

    pid: int
    xywh: tuple[int, int, int, int]
    visible: float


@dataclass(frozen=True)
class _Thing:
    """A sprite at its place: ``at`` is where its anchor comes to stand in the picture."""

    sprite: Sprite
    at: tuple[float, float]
    ground: tuple[float, float]
    width: float
    pid: int | None


@dataclass(frozen=True)
class _Site:
    """What never changes in front of a camera."""

    camera: Camera
    street: Image
    furniture: tuple[_Thing, ...]
    parking: tuple[tuple[float, float], ...]


@lru_cache(maxsize=64)
def _site(seed: int, camera_id: int, width: int, height: int) -> _Site:
    rng = np.random.default_rng([seed, _CAMERAS, camera_id])
    camera = draw_camera(rng, width, height)
    street = paint_street(camera, rng)
    furniture = []
    for kind in rng.choice(list(FURNITURE), 3, replace=False).tolist():
        z = float(rng.uniform(6.5, 13.0))
        half = 0.5 * width / camera.metre(z)
        offset = (0.5 * width - camera.vanishing) / camera.metre(z)
        x = offset + half * float(rng.uniform(0.25, 0.95)) * float(rng.choice([-1, 1]))
        sprite = draw_furniture(kind, rng, camera.metre(z), light=camera.light)
        furniture.append(_Thing(sprite, camera.project(x, 0, z), (x, z), FURNITURE[kind], None))
    if camera.across:
        z = float(rng.uniform(12.5, 14))
        parking = [(x, z) for x in (-11.0, -5.5, 0.0, 5.5, 11.0)]
    else:
        kerb = float(rng.uniform(2.6, 4.2))
        parking = [(sign * kerb, z) for sign in (-1.0, 1.0) for z in (11.0, 17.0, 23.0, 29.0)]
    return _Site(camera, street, tuple(furniture), tuple(parking))


@lru_cache(maxsize=4096)
def _looks(seed: int, pid: int) -> Appearance:
    return draw_appearance(np.random.default_rng([seed, _APPEARANCES, pid]))


def render_frame(
    seed: int,
    split: int,
    index: int,
    *,
    camera_id: int,
    people: tuple[int, ...],
    size: tuple[int, int],
) -> tuple[Image, list[Box], int]:
    """Draw a frame and annotate it.

    Args:
        seed: Seed of the whole sample.
        split: 0 train, 1 test.
        index: Number of the frame in its split.
        camera_id: Camera, from 1.
        people: PRW ids of those who are there, ``ANONYMOUS`` for a passer-by.
        size: Width and height in pixels.

    Returns:
        RGB picture, boxes, and the JPEG quality of the camera. Everyone with an identity has
        a box; passers-by who are mostly hidden have none.
    """
    rng = np.random.default_rng([seed, split, index])
    site = _site(seed, camera_id, *size)
    props = [*site.furniture, *_cars(site, rng)]
    for _ in range(_ATTEMPTS):
        things = sorted(_stand(site, props, people, seed, rng), key=lambda t: -t.ground[1])
        seen = _visible(things, size)
        people_seen = [(t.pid, s) for t, s in zip(things, seen, strict=True) if t.pid is not None]
        named = [share for pid, share in people_seen if pid != ANONYMOUS]
        # Whoever has an identity is seen, and no frame is without a box.
        if min(named or [max(share for _, share in people_seen)]) >= 1 - HIDDEN:
            break
    else:
        raise RuntimeError(
            f'frame {index} of split {split}: no place found where all {len(people)} people '
            'are seen'
        )
    picture = site.street.copy()
    _shadows(picture, things, site.camera)
    for thing in things:
        _blend(picture, thing)
    boxes = []
    for thing, share in zip(things, seen, strict=True):
        if thing.pid is not None and share >= 1 - HIDDEN:
            boxes.append(Box(thing.pid, _extent(thing, size), share))
    order = rng.permutation(len(boxes))  # the order must not tell who is near
    return develop(picture, site.camera, rng), [boxes[i] for i in order], site.camera.quality


def _cars(site: _Site, rng: np.random.Generator) -> list[_Thing]:
    camera, cars = site.camera, []
    for x, z in site.parking:
        if rng.random() < 0.45:
            x, z = x + float(rng.normal(0, 0.15)), z + float(rng.normal(0, 0.3))
            unit = camera.metre(z)
            sprite = draw_car(rng, unit, light=camera.light, side_on=camera.across)
            width = 2.4 if camera.across else 1.1
            cars.append(_Thing(sprite, camera.project(x, 0, z), (x, z), width, None))
    return cars


def _stand(
    site: _Site, props: list[_Thing], people: tuple[int, ...], seed: int, rng: np.random.Generator
) -> list[_Thing]:
    """The props and everybody at a place of their own on the ground."""
    camera, things = site.camera, list(props)
    for pid in people:
        looks = draw_appearance(rng) if pid == ANONYMOUS else _looks(seed, pid)
        pose = draw_pose(rng)
        for _ in range(20):
            stature = camera.height * float(np.exp(rng.uniform(np.log(0.21), np.log(0.66))))
            z = camera.depth_of_stature(stature)
            column = float(rng.uniform(-0.01, 1.01)) * camera.width
            x = (column - camera.vanishing) / camera.metre(z)
            if all(
                abs(x - other.ground[0]) > other.width + 0.2 or abs(z - other.ground[1]) > 0.6
                for other in things
            ):
                break
        sprite = draw_figure(looks, pose, stature, light=camera.light, rng=rng)
        things.append(_Thing(sprite, camera.project(x, 0, z), (x, z), 0.3, pid))
    return things


def _placed(thing: _Thing) -> tuple[int, int]:
    """Column and row of the sprite's upper left corner."""
    sprite = thing.sprite
    return round(thing.at[0] - sprite.anchor[0]), round(thing.at[1] - sprite.anchor[1])


def _window(
    thing: _Thing, size: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of the picture that a sprite covers, and the part of the sprite in the picture."""
    left, top = _placed(thing)
    rows, cols = thing.sprite.alpha.shape
    y0, y1 = max(top, 0), max(min(top + rows, size[1]), 0)
    x0, x1 = max(left, 0), max(min(left + cols, size[0]), 0)
    y1, x1 = max(y1, y0), max(x1, x0)
    return (
        (slice(y0, y1), slice(x0, x1)),
        (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)),
    )


def _visible(things: list[_Thing], size: tuple[int, int]) -> list[float]:
    """Share of every thing's own area that ends up in the picture; far to near."""
    owner = np.full((size[1], size[0]), -1, np.int16)
    for number, thing in enumerate(things):
        where, part = _window(thing, size)
        owner[where][thing.sprite.alpha[part] > 127] = number
    counts = np.bincount(owner.ravel() + 1, minlength=len(things) + 1)[1:]
    areas = [max(int(np.count_nonzero(thing.sprite.alpha > 127)), 1) for thing in things]
    return [float(count / area) for count, area in zip(counts, areas, strict=True)]


def _extent(thing: _Thing, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """x, y, w, h of the whole figure, hidden parts included, cut off at the picture's border."""
    where, part = _window(thing, size)
    solid = thing.sprite.alpha[part] > 127
    cols = np.flatnonzero(solid.any(0))
    rows = np.flatnonzero(solid.any(1))
    return (
        int(where[1].start + cols[0]),
        int(where[0].start + rows[0]),
        int(cols[-1] - cols[0] + 1),
        int(rows[-1] - rows[0] + 1),
    )


def _shadows(picture: Image, things: list[_Thing], camera: Camera) -> None:
    rows, cols = picture.shape[:2]
    shade = np.zeros((rows, cols), np.uint8)
    if camera.sun:
        sx, sy = camera.shadow
        for thing in things:
            sprite, (x, y) = thing.sprite, thing.at
            ax, ay = sprite.anchor
            matrix = np.array([[1, -sx, x - ax + sx * ay], [0, sy, y - sy * ay]])
            cast = cv2.warpAffine(sprite.alpha, matrix, (cols, rows))
            shade = np.maximum(shade, cast)
        shade = (shade * (0.85 * camera.sun)).astype(np.uint8)
    for thing in things:  # the dim patch where something touches the ground
        metre = camera.metre(thing.ground[1])
        centre = (round(thing.at[0]), round(thing.at[1]))
        axes = (max(round(0.95 * thing.width * metre), 1), max(round(0.1 * metre), 1))
        if thing.pid is not None:
            axes = (max(round(0.16 * PERSON_METRES * metre), 1), axes[1])
        contact = np.zeros_like(shade)
        cv2.ellipse(contact, centre, axes, 0, 0, 360, 150, -1)
        shade = np.maximum(shade, contact)
    shade = cv2.GaussianBlur(shade, (0, 0), 1.3 * rows / 288)
    factor = 1 - shade.astype(np.float32) * np.float32(0.58 / 255)
    cv2.multiply(picture, cv2.merge([factor] * 3), dst=picture, dtype=cv2.CV_8U)


def _blend(picture: Image, thing: _Thing) -> None:
    where, part = _window(thing, (picture.shape[1], picture.shape[0]))
    below = picture[where]
    if not below.size:
        return
    keep = (255 - thing.sprite.alpha[part]).astype(np.float32) * np.float32(1 / 255)
    dimmed = cv2.multiply(below, cv2.merge([keep] * 3), dtype=cv2.CV_8U)
    picture[where] = cv2.add(dimmed, thing.sprite.color[part])
