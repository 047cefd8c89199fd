"""The unmoving background of a camera: sky, buildings, trees, road and pavement."""

import cv2
import numpy as np

from .camera import Camera
from .canvas import Image, soft_noise

Color = tuple[int, int, int]

_TEXTURE = 24
"""Pixels per metre of the facades and of the ground, before they are seen in perspective."""
_FAR = 55.0
"""Depth in metres at which the view ends."""
_SIDE = 16.0

_WALLS: tuple[Color, ...] = (
    (168, 120, 96),
    (196, 180, 152),
    (150, 152, 152),
    (214, 204, 184),
    (134, 104, 90),
    (178, 186, 190),
    (188, 160, 120),
)
_SIGNS: tuple[Color, ...] = (
    (150, 50, 44),
    (46, 74, 120),
    (60, 104, 72),
    (196, 156, 60),
    (60, 58, 62),
)


def paint_street(camera: Camera, rng: np.random.Generator) -> Image:
    """The empty street, RGB, of the camera's picture size; painted at twice that size."""
    picture = _sky(camera, rng)
    # The far end of the view, then what stands nearer.
    _wall(picture, camera, rng, (-70, _FAR), (70, _FAR), height=float(rng.uniform(6, 11)))
    if rng.random() < 0.7:
        for x in rng.uniform(-40, 40, 14):
            _tree(picture, camera, rng, float(x), float(rng.uniform(40, 52)))
    _ground(picture, camera, rng)
    if camera.across:
        depth = float(rng.uniform(18, 25))
        _wall(picture, camera, rng, (-25, depth), (25, depth), height=float(rng.uniform(8, 13)))
        trees = [(float(x), depth - float(rng.uniform(1.5, 3))) for x in rng.uniform(-11, 11, 4)]
    else:
        left, right = -rng.uniform(5.5, 8), rng.uniform(5.5, 8)
        open_side = int(rng.integers(3))  # one of three streets has a park on one side
        if open_side != 0:
            _wall(picture, camera, rng, (left, 6.0), (left, _FAR), height=float(rng.uniform(7, 13)))
        if open_side != 1:
            _wall(
                picture, camera, rng, (right, _FAR), (right, 6.0), height=float(rng.uniform(7, 13))
            )
        park = [left] if open_side == 0 else [right] if open_side == 1 else []
        trees = [
            (float(side * rng.uniform(0.95, 1.5)), float(z))
            for side in park
            for z in range(36, 15, -4)
        ]
        trees += [
            (float(side) * 0.8, float(z))
            for side in (left, right)
            for z in (40, 28, 18)
            if rng.random() < 0.4
        ]
    for x, z in sorted(trees, key=lambda place: -place[1]):
        _tree(picture, camera, rng, x, z)
    return cv2.resize(picture, (camera.width, camera.height), interpolation=cv2.INTER_AREA)


def _sky(camera: Camera, rng: np.random.Generator) -> Image:
    rows, cols = 2 * camera.height, 2 * camera.width
    blue = np.array([150, 182, 214]) if camera.sun else np.array([196, 202, 208])
    fade = np.linspace(0, 1, rows)[:, None, None]
    sky = blue * (1 - fade) + np.array([226, 228, 230]) * fade
    clouds = soft_noise(rng, (rows, cols), 0.12 * cols)[..., None]
    return np.clip(sky + 12 * clouds, 0, 255).astype(np.uint8)


def _ground(picture: Image, camera: Camera, rng: np.random.Generator) -> None:
    unit = _TEXTURE
    near = 2.5
    rows, cols = int((_FAR - near) * unit), int(2 * _SIDE * unit)
    paving = np.array([(156, 150, 142), (142, 140, 138), (164, 152, 136)][int(rng.integers(3))])
    texture = np.empty((rows, cols, 3), np.float32)
    texture[:] = paving
    # Slabs: each of a slightly different grey, with joints.
    slab = int(unit * rng.uniform(0.5, 1.0))
    tint = rng.normal(0, 5, (rows // slab + 1, cols // slab + 1)).astype(np.float32)
    texture += np.kron(tint, np.ones((slab, slab), np.float32))[:rows, :cols, None]
    texture[::slab] -= 20
    texture[:, ::slab] -= 20

    def column(x: float) -> int:
        return int((x + _SIDE) * unit)

    def row(z: float) -> int:
        return int((_FAR - z) * unit)

    asphalt = float(rng.uniform(84, 108))
    if camera.across:
        far, close = float(rng.uniform(15, 17)), float(rng.uniform(8, 10))
        road = (slice(row(far), row(close)), slice(None))
        kerbs = [(slice(row(z), row(z) + 5), slice(None)) for z in (far, close)]
        middle = row((far + close) / 2)
        dashes = [
            (slice(middle, middle + 4), slice(s, s + 2 * unit)) for s in range(0, cols, 5 * unit)
        ]
    else:
        left, right = float(rng.uniform(-4.5, -2)), float(rng.uniform(2, 4.5))
        road = (slice(None), slice(column(left), column(right)))
        kerbs = [(slice(None), slice(column(x), column(x) + 5)) for x in (left, right)]
        middle = column((left + right) / 2)
        dashes = [
            (slice(s, s + 2 * unit), slice(middle, middle + 4)) for s in range(0, rows, 5 * unit)
        ]
    texture[road] = asphalt
    for kerb in kerbs:
        texture[kerb] = 186
    for dash in dashes:
        texture[dash] = 206
    if rng.random() < 0.5:  # a zebra crossing
        start = float(rng.uniform(9, 12))
        if camera.across:
            stripes = [
                (slice(row(z + 0.5), row(z)), slice(column(-1.5), column(1.5)))
                for z in np.arange(close + 0.3, far - 0.5, 1.0)
            ]
        else:
            stripes = [
                (slice(row(start + 3), row(start)), slice(column(x), column(x + 0.5)))
                for x in np.arange(left + 0.3, right - 0.5, 1.0)
            ]
        for stripe in stripes:
            texture[stripe] = 212
    texture += 7 * soft_noise(rng, (rows, cols), 1.2 * unit)[..., None]
    texture += 5 * rng.standard_normal((rows, cols, 1), dtype=np.float32)
    for _ in range(3):  # manhole covers
        centre = (int(rng.uniform(0.3, 0.7) * cols), int(rng.uniform(0.6, 1) * rows))
        cv2.circle(texture, centre, int(0.35 * unit), (92, 92, 92), -1)
    plane = np.array(
        [
            [camera.focal, camera.vanishing, 0],
            [0, camera.horizon, camera.focal * camera.elevation],
            [0, 1, 0],
        ]
    )
    to_metres = np.array([[1 / unit, 0, -_SIDE], [0, -1 / unit, _FAR], [0, 0, 1]])
    matrix = np.diag([2.0, 2.0, 1.0]) @ plane @ to_metres
    size = (picture.shape[1], picture.shape[0])
    first = int(2 * camera.project(0, 0, _FAR)[1])
    lawn = np.array([112, 122, 84]) if rng.random() < 0.4 else 0.94 * paving
    picture[first:] = lawn.astype(np.uint8)
    # Far away many pixels of the texture fall on one of the picture: average them first.
    source = cv2.GaussianBlur(np.clip(texture, 0, 255).astype(np.uint8), (0, 0), 1.2)
    cv2.warpPerspective(
        source, matrix, size, dst=picture, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
    )


def _wall(
    picture: Image,
    camera: Camera,
    rng: np.random.Generator,
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    height: float,
) -> None:
    """A row of houses between two points (x, z) on the ground."""
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    top = 1.25 * height
    facade, solid = _facades(rng, length, top, height)
    rows, cols = solid.shape
    source = np.array([[0, 0], [cols, 0], [cols, rows], [0, rows]], np.float32)
    corners = [
        camera.project(x, y, z)
        for (x, z), y in ((start, top), (end, top), (end, 0.0), (start, 0.0))
    ]
    target = 2 * np.array(corners, np.float32)
    matrix = cv2.getPerspectiveTransform(source, target)
    size = (picture.shape[1], picture.shape[0])
    shade = 1.0 if start[1] == end[1] else 0.86  # side walls stand in their own shade
    facade = (facade.astype(np.float32) * shade).astype(np.uint8)
    facade = cv2.GaussianBlur(facade, (0, 0), 0.5)
    warped = cv2.warpPerspective(facade, matrix, size, flags=cv2.INTER_LINEAR)
    mask = cv2.warpPerspective(solid, matrix, size, flags=cv2.INTER_LINEAR)
    haze = 0.35 if min(start[1], end[1]) > 40 else 0.0
    warped = cv2.addWeighted(warped, 1 - haze, np.full_like(warped, 208), haze, 0)
    cv2.copyTo(warped, (mask > 127).astype(np.uint8), picture)


def _facades(
    rng: np.random.Generator, length: float, top: float, height: float
) -> tuple[Image, Image]:
    """Flat view of a row of houses, and where it is solid; both (top, length) * _TEXTURE."""
    unit = _TEXTURE
    rows, cols = int(top * unit), int(length * unit)
    picture = np.zeros((rows, cols, 3), np.uint8)
    solid = np.zeros((rows, cols), np.uint8)
    begin = 0.0
    while begin < length:
        wide = min(float(rng.uniform(7, 15)), length - begin)
        tall = min(height * float(rng.uniform(0.8, 1.2)), top)
        x0, x1 = int(begin * unit), int((begin + wide) * unit)
        y0 = rows - int(tall * unit)
        solid[y0:, x0:x1] = 255
        _house(picture[y0:, x0:x1], rng)
        begin += wide
    grain = 7 * soft_noise(rng, (rows, cols), 1.5 * unit)[..., None]
    return np.clip(picture + grain, 0, 255).astype(np.uint8), solid


def _house(front: Image, rng: np.random.Generator) -> None:
    """Paint one house over the whole of ``front``."""
    unit = _TEXTURE
    rows, cols = front.shape[:2]
    wall = np.clip(np.array(_WALLS[int(rng.integers(len(_WALLS)))]) + rng.normal(0, 8, 3), 0, 255)
    front[:] = wall
    if rng.random() < 0.4:  # courses of brick
        front[::6] = wall * 0.9
    front[: unit // 3] = wall * 0.75
    frame = [int(v) for v in np.clip(wall * 1.25, 0, 240)]
    storey, ground = int(3.1 * unit), int(3.4 * unit)
    pitch, pane = int(rng.uniform(1.9, 2.8) * unit), int(rng.uniform(0.9, 1.3) * unit)
    for y in range(rows - ground - storey, -1, -storey):
        for x in range(pitch // 3, cols - pane, pitch):
            glass = rng.uniform(50, 105)
            box = (x, y + unit // 2), (x + pane, y + unit // 2 + int(1.6 * unit))
            cv2.rectangle(front, *box, frame, -1)
            inner = (box[0][0] + 2, box[0][1] + 2), (box[1][0] - 2, box[1][1] - 2)
            cv2.rectangle(front, *inner, (glass * 0.85, glass * 0.97, glass * 1.08), -1)
            cv2.line(front, (x + pane // 2, box[0][1]), (x + pane // 2, box[1][1]), frame, 2)
    # Ground floor: shops with signs and awnings, or a plain plinth with doors.
    floor = rows - ground
    front[floor : floor + 3] = wall * 0.7
    if rng.random() < 0.6:
        sign = _SIGNS[int(rng.integers(len(_SIGNS)))]
        cv2.rectangle(front, (4, floor + 6), (cols - 5, floor + unit - 4), sign, -1)
        for x in range(int(0.15 * cols), int(0.6 * cols), 9):
            cv2.line(
                front, (x, floor + 11), (x, floor + unit - 9 - int(rng.integers(5))), (225,) * 3, 3
            )
        for x in range(unit // 3, cols - 2 * unit, int(2.5 * unit)):
            shade = rng.uniform(55, 130)
            top_left, bottom_right = (x, floor + unit + 6), (x + 2 * unit, rows - unit // 2)
            cv2.rectangle(front, top_left, bottom_right, (shade, shade, shade * 0.95), -1)
            cv2.rectangle(front, top_left, bottom_right, (52, 50, 50), 3)
            for _ in range(4):  # wares
                ware = (int(x + rng.uniform(4, 40)), int(rows - unit * rng.uniform(0.8, 1.6)))
                cv2.circle(
                    front, ware, 5, (rng.uniform(50, 170) + rng.normal(0, 14, 3)).tolist(), -1
                )
    else:
        front[rows - unit :] = wall * 0.7
        for x in range(unit, cols - unit, int(4.5 * unit)):
            colour = rng.uniform(40, 110, 3).tolist()
            cv2.rectangle(front, (x, rows - int(2.3 * unit)), (x + unit, rows), colour, -1)
            window = (x + 2 * unit, rows - int(2.4 * unit)), (x + 3 * unit, rows - int(1.2 * unit))
            cv2.rectangle(front, *window, (74, 84, 92), -1)
            cv2.rectangle(front, *window, frame, 2)


def _tree(picture: Image, camera: Camera, rng: np.random.Generator, x: float, z: float) -> None:
    unit = 2 * camera.metre(z)
    foot_x, foot_y = (2 * value for value in camera.project(x, 0, z))
    tall = float(rng.uniform(2.2, 3.0))
    crown = float(rng.uniform(1.4, 2.3))
    cv2.ellipse(
        picture,
        (int(foot_x), int(foot_y)),
        (int(0.5 * unit), max(int(0.12 * unit), 1)),
        0,
        0,
        360,
        (84, 82, 74),
        -1,
    )
    trunk = (int(foot_x), int(foot_y)), (int(foot_x), int(foot_y - tall * unit))
    cv2.line(picture, *trunk, (82, 66, 52), max(int(0.26 * unit), 1))
    base = np.array([62, 88, 50]) + rng.normal(0, 8, 3)
    places = np.clip(rng.normal(0, 0.4, (240, 2)), -0.8, 0.8) * crown
    for dx, dy in places[np.argsort(-places[:, 1])]:
        light = 1.0 - 0.32 * dy / crown + rng.uniform(-0.18, 0.18)
        centre = (int(foot_x + dx * unit), int(foot_y - (tall + 0.6 * crown) * unit + dy * unit))
        colour = np.clip(base * light, 0, 255).tolist()
        cv2.circle(
            picture, centre, max(int(rng.uniform(0.07, 0.22) * unit), 1), colour, -1, cv2.LINE_AA
        )
