"""The body of one person and the clothes on it."""

import numpy as np

from .appearance import RGB, Appearance
from .canvas import Canvas, Image
from .pose import Pose, Skeleton, Vector
from .texture import garment_texture

Fill = Image | RGB

_WIDTH, _ABOVE, _BELOW = 1.0, 1.16, 0.14
"""Room around the point between the feet, in body heights."""

_LOOSE = {'tshirt': 1.0, 'longsleeve': 1.0, 'jacket': 1.07, 'coat': 1.08, 'hoodie': 1.1}
"""How much wider than the body each kind of top is."""
_HEM = {'tshirt': 0.0, 'longsleeve': 0.0, 'jacket': 0.02, 'coat': -0.2, 'hoodie': -0.015}
"""Where each kind of top ends, above the hips in body heights."""


def darker(color: RGB, factor: float) -> RGB:
    """A colour with every channel multiplied by ``factor``."""
    red, green, blue = (int(channel * factor) for channel in color)
    return red, green, blue


class Body:
    """One person on a canvas of its own: places of the joints, and the parts to paint."""

    def __init__(
        self,
        looks: Appearance,
        pose: Pose,
        height: float,
        *,
        light: float,
        rng: np.random.Generator,
    ) -> None:
        self.looks = looks
        self.bones = Skeleton(looks, pose)
        self.front = float(np.cos(pose.yaw))
        self.side = float(np.sin(pose.yaw))
        self.unit = height * Canvas.oversampling
        rows = 2 * int(np.ceil((_ABOVE + _BELOW) * self.unit / 2))
        cols = 2 * int(np.ceil(_WIDTH * self.unit / 2))
        self.canvas = Canvas(rows, cols, light=light, rng=rng)
        self.origin = np.array([cols / 2, _ABOVE * self.unit])
        self.top_fill = garment_texture(
            looks.top,
            self.canvas.shape,
            unit=self.unit,
            axis=self.origin[0] + self.side * self.bones.lean * self.unit,
            top=self.origin[1] - self.bones.shoulder * self.unit,
            front=self.front,
        )
        self.bottom_fill = garment_texture(
            looks.bottom,
            self.canvas.shape,
            unit=self.unit,
            axis=self.origin[0],
            top=self.origin[1] - self.bones.hip * self.unit,
            front=self.front,
        )

    def at(self, point: Vector) -> Vector:
        """Pixel of a joint."""
        return self.origin + self.unit * self.bones.project(point)

    def limb(self, start: Vector, end: Vector, radii: tuple[float, float], fill: Fill) -> None:
        """A tapered limb between two joints; radii in body heights."""
        self.canvas.limb(
            self.at(start), self.at(end), (radii[0] * self.unit, radii[1] * self.unit), fill
        )

    def oval(self, centre: Vector, axes: tuple[float, float], fill: Fill) -> None:
        """An upright ellipse around a joint; half axes in body heights."""
        self.canvas.ellipse(self.at(centre), (axes[0] * self.unit, axes[1] * self.unit), fill)

    def leg(self, joints: list[Vector]) -> None:
        """Shoe, leg and what covers it; joints from the hip down."""
        hip, knee, ankle = joints
        girth = self.looks.girth
        kind = self.looks.bottom.kind
        # Shoe: from the heel to the toes.
        heel = ankle + np.array([0.0, -0.012, -0.018])
        toes = ankle + np.array([0.0, -0.02, 0.075])
        bare = kind in ('shorts', 'skirt')
        if bare:
            self.limb(hip, knee, (0.05 * girth, 0.036 * girth), self.looks.skin)
            self.limb(knee, ankle, (0.035 * girth, 0.021 * girth), self.looks.skin)
        self.limb(heel, toes, (0.024, 0.018), self.looks.shoes)
        if kind == 'shorts':
            self.limb(
                hip, hip + 0.88 * (knee - hip), (0.06 * girth, 0.054 * girth), self.bottom_fill
            )
        elif not bare:
            hem = 0.032 if kind == 'trousers' else 0.027
            cuff = knee + 0.93 * (ankle - knee)
            self.limb(hip, knee, (0.06 * girth, 0.043 * girth), self.bottom_fill)
            self.limb(knee, cuff, (0.043 * girth, hem * girth), self.bottom_fill)

    def hips(self) -> None:
        """The pelvis, or a skirt."""
        bones = self.bones
        wide = bones.half_width(bones.hip_width, bones.depth) + 0.012
        if self.looks.bottom.kind == 'skirt':
            knees = [self.at(leg[1]) for leg in bones.legs]
            spread = abs(knees[0][0] - knees[1][0]) / self.unit / 2
            hem = max(wide * 1.25, spread + 0.045)
            self._profile(
                [(bones.hip + 0.09, 0.85 * wide), (bones.hip, wide), (bones.hip - 0.2, hem)],
                self.bottom_fill,
            )
        else:
            self._profile(
                [
                    (bones.hip + 0.09, 0.85 * wide),
                    (bones.hip, wide),
                    (bones.hip - 0.05, 0.8 * wide),
                ],
                self.bottom_fill,
            )

    def _profile(self, outline: list[tuple[float, float]], fill: Fill) -> None:
        """A part of the trunk: (height, half width) in body heights from top to bottom."""
        bones = self.bones
        heights = np.array([level for level, _ in outline])
        widths = np.array([half for _, half in outline])
        lean = np.clip((heights - bones.hip) / (bones.shoulder - bones.hip), 0, 1.2)
        middle = lean * bones.lean * self.side
        right = np.stack([middle + widths, -heights], 1)
        left = np.stack([middle - widths, -heights], 1)[::-1]
        points = self.origin + self.unit * np.concatenate([right, left])
        axis_point = self.origin + self.unit * np.array([middle.mean(), 0.0])
        self.canvas.polygon(
            points, fill, axis=(axis_point, np.array([1.0, 0.0]), widths.max() * self.unit)
        )

    def torso(self) -> None:
        """The trunk in its garment."""
        bones, top = self.bones, self.looks.top
        shoulder = bones.half_width(bones.shoulder_width, bones.depth * 0.9)
        hip = bones.half_width(bones.hip_width, bones.depth) + 0.016
        waist = 0.5 * (shoulder + hip) * (0.82 + 0.12 * (self.looks.girth - 0.8))
        factor, hem = _LOOSE[top.kind], bones.hip + _HEM[top.kind]
        neck = bones.shoulder
        outline = [
            (neck + 0.038, 0.032),
            (neck + 0.024, 0.5 * shoulder),
            (neck + 0.006, 0.86 * shoulder),
            (neck - 0.03, 1.0 * shoulder),
            (neck - 0.1, 0.95 * shoulder * factor),
            (neck - 0.2, max(waist, 0.06) * factor),
        ]
        if top.kind == 'coat':
            outline += [(bones.hip, hip * factor), (hem, hip * 1.3)]
        else:
            outline.append((hem, hip * factor))
        self._profile(outline, self.top_fill)
        if top.kind in ('jacket', 'coat') and self.front > 0.25:  # open, with the shirt under it
            for half, fill in ((0.034, darker(top.color, 0.7)), (0.026, self.looks.inner)):
                centre = self.side * 0.05
                strip = [(neck + 0.03, half * self.front), (hem + 0.01, half * self.front)]
                shifted = [
                    self.origin + self.unit * np.array([centre + sign * width, -level])
                    for sign, pairs in ((1, strip), (-1, strip[::-1]))
                    for level, width in pairs
                ]
                self.canvas.polygon(np.array(shifted), fill)
        if top.kind == 'hoodie':
            back = np.array([0.0, neck + 0.02, -0.045])
            self.oval(back, (0.058, 0.04 if self.front > 0 else 0.055), darker(top.color, 0.8))

    def arm(self, joints: list[Vector]) -> None:
        """Hand, arm and sleeve; joints from the shoulder down."""
        shoulder, elbow, hand = joints
        girth = 0.5 + 0.5 * self.looks.girth
        skin = self.looks.skin
        reach = 0.022 * (hand - elbow) / np.linalg.norm(hand - elbow)
        self.oval(hand + reach, (0.021, 0.026), skin)
        if self.looks.top.kind == 'tshirt':
            self.limb(elbow, hand, (0.026 * girth, 0.018 * girth), skin)
            self.limb(shoulder, elbow, (0.03 * girth, 0.026 * girth), skin)
            sleeve = shoulder + 0.62 * (elbow - shoulder)
            self.limb(shoulder, sleeve, (0.038 * girth, 0.038 * girth), self.top_fill)
            return
        thick = 1.0 if self.looks.top.kind == 'longsleeve' else 1.18
        self.limb(shoulder, elbow, (0.037 * girth * thick, 0.032 * girth * thick), self.top_fill)
        self.limb(elbow, hand, (0.032 * girth * thick, 0.024 * girth * thick), self.top_fill)
