"""Small videos and images, and a detector that finds what is drawn in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from gallery_rows import DIM

from mmps.gallery import Gallery, row_id

HEIGHT, WIDTH = 64, 96
RATE = 10


def people_of(frame: int) -> int:
    """How many people are in a frame: now and then nobody."""
    return frame % 3


def draw(frame: int) -> np.ndarray:
    """A dark street with bright bars in it; below, the number of the frame in six grey bits."""
    image = np.full((HEIGHT, WIDTH, 3), 10, np.uint8)
    for bit in range(6):
        image[52:, 16 * bit : 16 * bit + 16] = 100 * (frame >> bit & 1)
    for person in range(people_of(frame)):
        left = 16 + 32 * person
        image[12:44, left : left + 16] = (255, 255, 255) if person else (255, 255, 160)
    return image


def number_in(image: np.ndarray) -> int:
    """The number of the frame that was drawn."""
    return sum(
        int(image[56:62, 16 * bit + 6 : 16 * bit + 10].mean() > 50) << bit for bit in range(6)
    )


def make_video(path: Path, frames: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = {'.avi': 'MJPG', '.mp4': 'mp4v'}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), RATE, (WIDTH, HEIGHT))
    for frame in range(frames):
        writer.write(draw(frame))
    writer.release()
    return path


def make_image(path: Path, frame: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), draw(frame))
    return path


@dataclass(frozen=True)
class Bars:
    """The persons of an image."""

    bboxes: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray


class BarDetector:
    """Finds the bright bars; what it sees of one is its embedding."""

    model_id = 'aa'
    embed_dim = DIM

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.batches: list[int] = []

    def detect(self, images: Sequence[np.ndarray], *, batch_size: int) -> list[Bars]:
        assert len(images) <= batch_size
        self.batches.append(len(images))
        self.numbers += map(number_in, images)
        return [self._find(image) for image in images]

    def _find(self, image: np.ndarray) -> Bars:
        bright = (image.max(axis=2) > 128).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
        found = sorted(row for row in stats[1:].tolist() if row[4] > 100)
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h, _ in found], np.float32)
        looks = np.array([image[y + 8, x + 4 : x + 12].mean(0) for x, y, *_ in found])
        embeddings = np.zeros((len(found), DIM), np.float32)
        embeddings[:, :3] = looks.reshape(-1, 3)
        embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-9)
        return Bars(boxes.reshape(-1, 4), np.full(len(found), 0.9, np.float32), embeddings)


def check_content(gallery: Gallery, expected: dict[Path, dict[int, int]]) -> None:
    """The gallery has so many persons in each frame of each source, each once, and nobody else."""
    ids = [
        row_id(str(source), frame, person)
        for source, frames in expected.items()
        for frame, persons in frames.items()
        for person in range(persons)
    ]
    assert sorted(gallery.metadata()['row_id'].to_pylist()) == sorted(ids)
    covered = {source: sorted(part.frames) for source, part in gallery.coverage().items()}
    assert covered == {str(source): sorted(frames) for source, frames in expected.items()}
