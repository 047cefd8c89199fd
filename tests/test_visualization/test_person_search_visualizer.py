import warnings
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData
from person_boxes import LEFT_BOX, RIGHT_BOX

from mmps.registry import VISUALIZERS
from mmps.visualization import PersonSearchVisualizer, RankedResult, pid_color
from mmps.visualization.person_search_visualizer import (
    RESULT_COLOR,
    RIGHT_COLOR,
    TRUTH_COLOR,
    WRONG_COLOR,
)
from mmps.visualization.scenes import Image, read_scene

NO_BOXES = np.empty((0, 4), dtype=np.float32)


def is_color(image: Image, color: tuple[int, int, int], *, tolerance: int = 24) -> np.ndarray:
    """Which pixels have a colour, (H, W)."""
    return (np.abs(image.astype(int) - color) <= tolerance).all(axis=-1)


def test_pid_colors_are_stable_and_differ() -> None:
    assert pid_color(7) == pid_color(7)
    assert len({pid_color(pid) for pid in range(500)}) > 450
    distance = [np.abs(np.subtract(pid_color(pid), pid_color(pid + 1))).max() for pid in range(50)]
    assert min(distance) > 60
    assert pid_color(-1) == (160, 160, 160)


@pytest.mark.parametrize('kind', ['tensor', 'boxes', 'array'])
def test_ground_truth_has_the_colour_of_its_identity(
    visualizer: PersonSearchVisualizer, tmp_path: Path, kind: str
) -> None:
    # The second box reaches the border and beyond: MMEngine must not warn about it.
    boxes = torch.tensor([[30.0, 30, 90, 120], [150, 40, 205, 155]])
    instances = InstanceData(
        bboxes=HorizontalBoxes(boxes) if kind == 'boxes' else boxes,
        labels=torch.zeros(2, dtype=torch.long),
        pids=torch.tensor([4, -1]),
    )
    sample = DetDataSample(gt_instances=instances)
    if kind == 'array':
        sample = sample.numpy()
    out = tmp_path / 'out.png'
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        visualizer.add_datasample(
            'scene', np.zeros((150, 200, 3), np.uint8), sample, draw_pred=False, out_file=str(out)
        )
    drawn = mmcv.imread(str(out), channel_order='rgb')
    edge = np.array(pid_color(4)) * visualizer.alpha
    assert is_color(drawn, tuple(edge.astype(int)))[60:110, 28:33].any(axis=1).all()
    grey = np.array(pid_color(-1)) * visualizer.alpha
    assert is_color(drawn, tuple(grey.astype(int)))[80:140, 148:153].any(axis=1).all()


def test_names_are_pids_or_a_question_mark(
    visualizer: PersonSearchVisualizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(
        visualizer, 'draw_texts', lambda text, *args, **kwargs: written.append(text)
    )
    boxes = torch.tensor([[10.0, 10, 60, 90], [80, 10, 130, 90]])
    labels = torch.zeros(2, dtype=torch.long)
    visualizer.dataset_meta = {'classes': ('person',), 'palette': [(220, 20, 60)]}
    sample = DetDataSample(
        gt_instances=InstanceData(bboxes=boxes, labels=labels, pids=torch.tensor([12, -1])),
        pred_instances=InstanceData(bboxes=boxes, labels=labels, scores=torch.tensor([0.9, 0.1])),
    )
    visualizer.add_datasample('scene', np.zeros((100, 150, 3), np.uint8), sample)
    assert written == ['12', '?', 'person: 90.0']


def test_nothing_to_draw(visualizer: PersonSearchVisualizer) -> None:
    image = np.full((40, 50, 3), 90, np.uint8)
    empty = InstanceData(
        bboxes=torch.zeros(0, 4),
        labels=torch.zeros(0, dtype=torch.long),
        pids=torch.zeros(0, dtype=torch.long),
        scores=torch.zeros(0),
    )
    sample = DetDataSample(gt_instances=empty, pred_instances=empty)
    visualizer.add_datasample('scene', image, sample)
    np.testing.assert_array_equal(visualizer.get_image(), np.concatenate([image, image], axis=1))


@pytest.mark.parametrize('correct', [True, False])
def test_result_is_green_or_red(
    visualizer: PersonSearchVisualizer, scenes: list[Path], correct: bool
) -> None:
    tile = visualizer.draw_result(RankedResult(scenes[0], LEFT_BOX, 0.7, correct, NO_BOXES))
    assert tile.shape == (320, 240, 3)
    assert is_color(tile, RIGHT_COLOR).any() == correct
    assert is_color(tile, WRONG_COLOR).any() != correct
    assert not is_color(tile, TRUTH_COLOR).any()


def test_a_result_that_nobody_has_judged_is_orange(
    visualizer: PersonSearchVisualizer, scenes: list[Path]
) -> None:
    result = RankedResult(scenes[0], LEFT_BOX, 0.7)
    scene = visualizer.draw_scene(scenes[0], LEFT_BOX, width=300, color=result.color)
    row = visualizer.draw_search(scenes[1], RIGHT_BOX, [result])
    for picture in (visualizer.draw_result(result), scene, row[:, 248:]):
        assert is_color(picture, RESULT_COLOR).any()
        assert not is_color(picture, RIGHT_COLOR).any()
        assert not is_color(picture, WRONG_COLOR).any()


def test_numbered_persons_have_colours_of_their_own(
    visualizer: PersonSearchVisualizer, scenes: list[Path]
) -> None:
    drawn = visualizer.draw_numbered(scenes[0], np.stack([LEFT_BOX, RIGHT_BOX]))
    assert drawn.shape == read_scene(scenes[0]).shape
    middle = (LEFT_BOX[2] + RIGHT_BOX[0]) / 2
    for number, left in ((1, True), (2, False)):
        columns = np.nonzero(is_color(drawn, pid_color(number), tolerance=60))[1]
        assert len(columns) > 0
        assert ((columns < middle) == left).all()
    untouched = visualizer.draw_numbered(scenes[0], np.zeros((0, 4), np.float32))
    assert np.array_equal(untouched, read_scene(scenes[0]))


def test_ground_truth_is_dashed_and_the_detection_is_not(
    visualizer: PersonSearchVisualizer, scenes: list[Path]
) -> None:
    result = RankedResult(scenes[0], LEFT_BOX, 0.7, False, RIGHT_BOX[None])
    tile = visualizer.draw_result(result)

    def coverage(color: tuple[int, int, int]) -> float:
        """How much of the height of a drawn box its left edge covers."""
        mask = is_color(tile, color)
        rows, columns = np.nonzero(mask)
        edge = mask[rows.min() : rows.max() + 1, columns.min() : columns.min() + 3]
        return edge.any(axis=1).mean()

    assert coverage(WRONG_COLOR) > 0.95
    assert 0.3 < coverage(TRUTH_COLOR) < 0.85


def test_search_is_one_row(visualizer: PersonSearchVisualizer, scenes: list[Path]) -> None:
    results = [
        RankedResult(str(scenes[1]), LEFT_BOX, 0.9, True, LEFT_BOX[None]),
        RankedResult(scenes[2], RIGHT_BOX, 0.4, False, NO_BOXES),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        row = visualizer.draw_search(scenes[0], LEFT_BOX, results)
    assert row.shape == (320, 3 * 240 + 2 * 8, 3)
    right, wrong = is_color(row, RIGHT_COLOR), is_color(row, WRONG_COLOR)
    assert right[:, 248:488].any()
    assert not right[:, 496:].any()
    assert wrong[:, 496:].any()
    assert not wrong[:, :488].any()


def test_scenes_may_be_arrays(visualizer: PersonSearchVisualizer, scenes: list[Path]) -> None:
    np.testing.assert_array_equal(
        visualizer.draw_query(read_scene(scenes[0]), LEFT_BOX),
        visualizer.draw_query(scenes[0], LEFT_BOX),
    )


def test_missing_scene_is_named(visualizer: PersonSearchVisualizer) -> None:
    with pytest.raises(FileNotFoundError, match=r'/gone/c1\.jpg is missing'):
        visualizer.draw_search('/gone/c1.jpg', LEFT_BOX, [])


def test_local_back_end_gets_the_search(
    request: pytest.FixtureRequest, scenes: list[Path], tmp_path: Path
) -> None:
    visualizer = VISUALIZERS.build(
        {
            'type': 'mmps.PersonSearchVisualizer',
            'name': request.node.nodeid,
            'vis_backends': [{'type': 'LocalVisBackend'}],
            'save_dir': str(tmp_path),
            'tile_size': (120, 160),
        }
    )
    visualizer.add_search('test_search_1', scenes[0], LEFT_BOX, [], step=3)
    written = tmp_path / 'vis_data/vis_image/test_search_1_3.png'
    assert mmcv.imread(str(written)).shape == (160, 120, 3)


def test_tensorboard_gets_the_search(
    request: pytest.FixtureRequest, scenes: list[Path], tmp_path: Path
) -> None:
    pytest.importorskip('tensorboard', reason='TensorBoard is not installed')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    visualizer = PersonSearchVisualizer(
        name=request.node.nodeid,
        vis_backends=[{'type': 'TensorboardVisBackend'}],
        save_dir=str(tmp_path),
    )
    visualizer.add_search('test_search_1', scenes[0], LEFT_BOX, [], step=3)
    visualizer.close()
    events = EventAccumulator(str(tmp_path / 'vis_data'))
    events.Reload()
    (image,) = events.Images('test_search_1')
    assert (image.step, image.width, image.height) == (3, 240, 320)
