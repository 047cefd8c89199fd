"""Scenes of two people in plain colours, on disk."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from person_boxes import LEFT_BOX, RIGHT_BOX

from mmps.evaluation import Predictions
from mmps.visualization import PersonSearchVisualizer


def draw_scene(path: Path, *, shade: int) -> Path:
    """Write a grey scene of 240 x 320 pixels with a person in each of the two boxes."""
    image = np.full((240, 320, 3), shade, dtype=np.uint8)
    for box, color in ((LEFT_BOX, (120, 60, 60)), (RIGHT_BOX, (60, 60, 120))):
        x1, y1, x2, y2 = box.astype(int)
        image[y1:y2, x1:x2] = color
    cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def scenes(tmp_path: Path) -> list[Path]:
    """Three scene files, c1s1_000001.png and so on."""
    folder = tmp_path / 'frames'
    folder.mkdir()
    return [draw_scene(folder / f'c{i}s1_00000{i}.png', shade=100 + 20 * i) for i in (1, 2, 3)]


@pytest.fixture
def visualizer(request: pytest.FixtureRequest) -> PersonSearchVisualizer:
    """A visualizer of the test's own."""
    return PersonSearchVisualizer(name=request.node.nodeid)


@pytest.fixture
def predictions(scenes: list[Path]) -> Predictions:
    """Both persons of all scenes found; the search for pid 0 succeeds, that for pid 1 does not."""
    angles = np.radians([0, 90, 10, 35, 20, 60])
    boxes = np.tile(np.stack([LEFT_BOX, RIGHT_BOX]), (3, 1))
    return Predictions(
        image_names=np.array([path.name for path in scenes]),
        image_paths=np.array([str(path) for path in scenes]),
        camera_ids=np.array([1, 2, 3]),
        sequence_ids=np.array([1, 1, 1]),
        image_sizes=np.tile([240, 320], (3, 1)),
        det_image=np.repeat([0, 1, 2], 2),
        det_bboxes=boxes,
        det_scores=np.ones(6, dtype=np.float32),
        det_embeddings=np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32),
        gt_image=np.repeat([0, 1, 2], 2),
        gt_bboxes=boxes,
        gt_pids=np.array([0, 1, 0, 1, 0, -1]),
        gt_embeddings=np.zeros((6, 0), dtype=np.float32),
        query_image=np.array([0, 0]),
        query_bboxes=np.stack([LEFT_BOX, RIGHT_BOX]),
        query_pids=np.array([0, 1]),
        query_ids=np.array([0, 1]),
        query_embeddings=np.array([[1, 0], [0.9848, 0.1736]], dtype=np.float32),
        meta={'dataset': 'PRW'},
    )
