"""A surveillance camera: where it stands and what its pictures are like."""

from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import Image

PERSON_METRES = 1.7
"""Stature of an average person, which ties pixels to metres."""


@dataclass(frozen=True)
class Camera:
    """Geometry of the view and character of the picture of one fixed camera.

    The ground is a plane; x runs right, z away from the camera, both in metres, the camera
    above (0, 0). All rows and columns are pixels.
    """

    width: int
    height: int
    horizon: float
    vanishing: float
    """Column at which lines along z meet."""
    focal: float
    elevation: float
    """Metres of the camera above the ground."""
    across: bool
    """Whether the road runs from left to right rather than away from the camera."""
    gains: tuple[float, float, float]
    gamma: float
    contrast: float
    blur: float
    noise: float
    quality: int
    sun: float
    """0 overcast ... 1 hard shadows."""
    shadow: tuple[float, float]
    """Where the head's shadow falls: columns and rows per row of height."""

    @property
    def light(self) -> float:
        """-1 lit from the left ... 1 lit from the right."""
        return -float(np.sign(self.shadow[0])) * (0.35 + 0.65 * self.sun)

    def metre(self, depth: float) -> float:
        """Pixels of a metre at a depth in metres."""
        return self.focal / depth

    def project(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Column and row of a point; y is its height above the ground."""
        return (
            self.vanishing + self.focal * x / z,
            self.horizon + self.focal * (self.elevation - y) / z,
        )

    def depth_of_stature(self, pixels: float) -> float:
        """Depth at which an average person is this tall in the picture."""
        return self.focal * PERSON_METRES / pixels


def draw_camera(rng: np.random.Generator, width: int, height: int) -> Camera:
    """A random camera of the given picture size."""
    warm = rng.normal(0, 0.045)
    tint = rng.normal(0, 0.02)
    brightness = rng.uniform(0.86, 1.1)
    sun = float(rng.choice([0.0, rng.uniform(0.5, 1.0)]))
    side = 1.0 if rng.random() < 0.5 else -1.0
    return Camera(
        width=width,
        height=height,
        horizon=height * float(rng.uniform(0.22, 0.32)),
        vanishing=width * float(rng.uniform(0.3, 0.7)),
        focal=width * float(rng.uniform(0.95, 1.2)),
        elevation=PERSON_METRES / float(rng.uniform(0.78, 0.92)),
        across=bool(rng.random() < 0.5),
        gains=(
            float(brightness * (1 + warm)),
            float(brightness * (1 - tint)),
            float(brightness * (1 - warm)),
        ),
        gamma=float(rng.uniform(0.88, 1.15)),
        contrast=float(rng.uniform(0.84, 1.06)),
        blur=float(rng.uniform(0.3, 0.65)),
        noise=float(rng.uniform(1.5, 4.5)),
        quality=int(rng.integers(78, 93)),
        sun=sun,
        shadow=(side * float(rng.uniform(0.25, 0.9)), float(rng.uniform(-0.3, 0.3))),
    )


def develop(scene: Image, camera: Camera, rng: np.random.Generator) -> Image:
    """What the camera's sensor makes of a scene (RGB): colour cast, blur, noise."""
    level = rng.normal(1.0, 0.04)
    tone = np.arange(256, dtype=np.float32) / 255
    tone = 0.47 + (tone**camera.gamma - 0.47) * camera.contrast
    curves = np.stack([tone * gain * level for gain in camera.gains], 1)
    table = np.clip(curves * 255, 0, 255).round().astype(np.uint8)[None]
    picture = cv2.LUT(scene, table)
    picture = cv2.GaussianBlur(picture, (0, 0), camera.blur * camera.height / 288)
    noise = np.empty((*picture.shape[:2], 3), np.int16)
    noise[:] = np.round(
        camera.noise * rng.standard_normal((*picture.shape[:2], 1), dtype=np.float32)
    )
    return cv2.add(picture, noise, dtype=cv2.CV_8U)
