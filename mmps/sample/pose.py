"""A small articulated skeleton: where the joints of a walking or standing person are."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .appearance import Appearance

Vector = npt.NDArray[np.float64]

_NOD = 0.10
"""How far a step towards the camera moves a foot down the image: the camera looks down a little."""


@dataclass(frozen=True)
class Pose:
    """How somebody stands: angles in radians.

    ``yaw`` 0 faces the camera, pi / 2 faces right in the image, pi shows the back.
    """

    yaw: float
    phase: float
    stride: float
    elbows: tuple[float, float]
    spread: float


def draw_pose(rng: np.random.Generator) -> Pose:
    """A random pose: mostly walking, seen from any side."""
    walking = rng.random() < 0.75
    elbows = rng.uniform(0.1, 0.5, 2)
    if rng.random() < 0.2:  # one hand holds up a telephone or a cup
        elbows[int(rng.integers(2))] = rng.uniform(1.4, 2.1)
    return Pose(
        yaw=float(rng.uniform(0, 2 * np.pi)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        stride=float(rng.uniform(0.28, 0.5) if walking else rng.uniform(0.02, 0.1)),
        elbows=(float(elbows[0]), float(elbows[1])),
        spread=float(rng.uniform(0.06, 0.2)),
    )


class Skeleton:
    """Joints in body heights: x to the person's left, y up from the ground, z forward.

    Limbs are listed left, right; each is three joints from the trunk outwards.
    """

    def __init__(self, looks: Appearance, pose: Pose) -> None:
        self._cos = float(np.cos(pose.yaw))
        self._sin = float(np.sin(pose.yaw))
        leg = 0.465 * looks.legs
        self.shoulder_width = 0.108 * looks.shoulders * (0.75 + 0.25 * looks.girth)
        self.hip_width = 0.082 * (0.5 + 0.5 * looks.girth)
        self.depth = 0.066 * looks.girth
        self.hip = leg + 0.03
        self.shoulder = self.hip + 0.31
        lean = 0.05 * pose.stride

        self.legs: list[list[Vector]] = []
        self.arms: list[list[Vector]] = []
        for side, shift in ((1.0, 0.0), (-1.0, np.pi)):
            swing = pose.stride * np.sin(pose.phase + shift)
            bend = (
                0.06
                + 1.2 * max(0.0, -swing)
                + 0.4 * pose.stride * max(0.0, np.cos(pose.phase + shift))
            )
            hip = np.array([side * self.hip_width * 0.55, self.hip, 0.0])
            knee = hip + 0.5 * leg * np.array([0.0, -np.cos(swing), np.sin(swing)])
            shin = swing - bend
            ankle = knee + 0.5 * leg * np.array([0.0, -np.cos(shin), np.sin(shin)])
            self.legs.append([hip, knee, ankle])

            swing = -0.9 * swing
            shoulder = np.array([side * self.shoulder_width * 0.83, self.shoulder - 0.03, lean])
            out = side * pose.spread
            elbow = shoulder + 0.165 * _unit([out, -np.cos(swing), np.sin(swing)])
            fore = swing + pose.elbows[0 if side > 0 else 1]
            hand = elbow + 0.155 * _unit([0.3 * out, -np.cos(fore), np.sin(fore)])
            self.arms.append([shoulder, elbow, hand])

        # The lower foot stands on the ground.
        drop = min(leg_joints[2][1] for leg_joints in self.legs) - 0.03
        for limb in (*self.legs, *self.arms):
            for joint in limb:
                joint[1] -= drop
        self.hip -= drop
        self.shoulder -= drop
        self.lean = lean

    def project(self, point: Vector) -> Vector:
        """Image position of a joint in body heights: x right of the body's axis, y down."""
        return np.array(
            [point[0] * self._cos + point[2] * self._sin, -point[1] + _NOD * self.nearness(point)]
        )

    def nearness(self, point: Vector) -> float:
        """How much nearer to the camera than the body's axis a joint is."""
        return float(point[2] * self._cos - point[0] * self._sin)

    def half_width(self, lateral: float, depth: float) -> float:
        """Half the width at which an ellipse of these two half axes is seen."""
        return float(np.hypot(lateral * self._cos, depth * self._sin))


def _unit(direction: list[float]) -> Vector:
    vector = np.array(direction)
    return vector / np.linalg.norm(vector)
