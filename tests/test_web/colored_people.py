"""Scenes in which a person is a rectangle of one colour, and a model that tells them by it."""

from pathlib import Path

import cv2
import numpy as np

from mmps.apis import Persons
from mmps.gallery import Coverage, Gallery, SourceEnd, make_rows

RED, GREEN, BLUE = (30, 30, 220), (40, 200, 40), (220, 60, 30)  # BGR
YELLOW, CYAN = (30, 200, 220), (220, 200, 30)
ORANGE, LIME = (30, 90, 220), (30, 200, 90)  # like RED and like GREEN; both together like YELLOW
PLACES = ((40, 60, 100, 220), (160, 60, 220, 220), (280, 60, 340, 220))
EMBED_DIM = 4
MODEL_ID = 'c0ffee'


class ColorModel:
    """Persons are what is not grey; an embedding is the mean colour of a box."""

    model_id = MODEL_ID
    embed_dim = EMBED_DIM
    origin = {'model': 'colors', 'weights': None}

    def detect(self, images, *, batch_size=1):
        return [self._detect(image) for image in images]

    def _detect(self, image):
        colored = (image.max(axis=2).astype(int) - image.min(axis=2) > 60).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(colored)
        boxes = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:] if area > 500]
        bboxes = np.array(sorted(boxes), np.float32).reshape(-1, 4)
        scores = np.linspace(0.95, 0.9, len(bboxes), dtype=np.float32)
        return Persons(bboxes, scores, self.embed(image, bboxes))

    def embed(self, image, bboxes):
        rows = []
        for x1, y1, x2, y2 in np.round(bboxes).astype(int):
            mean = image[y1:y2, x1:x2].reshape(-1, 3).mean(axis=0) / 255 - 0.45
            rows.append([*mean, 0.05])
        rows = np.array(rows, np.float32).reshape(-1, EMBED_DIM)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def draw(*colors):
    """A scene with people of these colours from left to right; None for nobody."""
    scene = np.full((260, 400, 3), 90, np.uint8)
    for color, (x1, y1, x2, y2) in zip(colors, PLACES, strict=False):
        if color is not None:
            scene[y1:y2, x1:x2] = color
    return scene


SCENES = {
    'gate/0.png': (RED, GREEN, None),
    'gate/1.png': (BLUE, None, RED),
    'yard/2.png': (None, CYAN, YELLOW),
    'yard/3.png': (GREEN, BLUE, RED),
}


def write_scenes(folder: Path) -> dict[str, Path]:
    """Write the scenes: the red person is in 0, 1 and 3, the green in 0 and 3."""
    paths = {}
    for name, colors in SCENES.items():
        paths[name] = folder / name
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(paths[name]), draw(*colors))
    return paths


def make_gallery(root: Path, paths) -> Gallery:
    """The persons of the scenes, an hour apart; the folder of a scene is its camera."""
    model = ColorModel()
    gallery = Gallery.create(root, model_id=MODEL_ID, embed_dim=EMBED_DIM, model=model.origin)
    for hour, (name, path) in enumerate(paths.items()):
        scene = cv2.imread(str(path))
        [persons] = model.detect([scene])
        rows = make_rows(
            str(path),
            0,
            image=scene,
            bboxes=persons.bboxes,
            scores=persons.scores,
            embeddings=persons.embeddings,
            camera=name.split('/')[0],
            time=1.7e9 + 3600 * hour,
        )
        end = SourceEnd(1, path.stat().st_size)
        gallery.append(rows, {str(path): Coverage(frozenset({0}), end)})
    return gallery
