from pathlib import Path

import numpy as np
import pytest

from mmps.visualization.scenes import crop_window, cut_window, find_scene, read_scene, to_tile


def test_find_scene_takes_the_longest_tail(tmp_path: Path) -> None:
    for folder in ('frames', 'other/frames'):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / 'a.jpg').touch()
    assert find_scene('/gone/other/frames/a.jpg', tmp_path) == tmp_path / 'other/frames/a.jpg'
    assert find_scene('/gone/frames/a.jpg', tmp_path) == tmp_path / 'frames/a.jpg'
    assert find_scene(tmp_path / 'frames/a.jpg') == tmp_path / 'frames/a.jpg'


@pytest.mark.parametrize('with_root', [False, True])
def test_missing_scene_is_named(tmp_path: Path, with_root: bool) -> None:
    with pytest.raises(FileNotFoundError, match=r'/gone/frames/a\.jpg is missing'):
        find_scene('/gone/frames/a.jpg', tmp_path if with_root else None)


def test_read_scene_is_rgb_and_refuses_what_is_no_image(scenes: list[Path]) -> None:
    assert read_scene(scenes[0])[100, 60].tolist() == [60, 60, 120]
    scenes[1].write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'c2s1_000002\.png cannot be decoded'):
        read_scene(scenes[1])


def test_window_is_centred_and_moved_into_the_image() -> None:
    box = np.array([[100, 100, 120, 140]], dtype=np.float32)
    window = crop_window(box, (300, 400), aspect=0.75, zoom=2)
    np.testing.assert_allclose(window, [80, 80, 140, 160])
    corner = crop_window(box - 100, (300, 400), aspect=0.75, zoom=2)
    np.testing.assert_allclose(corner, [0, 0, 60, 80])


def test_window_holds_all_boxes_and_passes_a_small_image_evenly() -> None:
    boxes = np.array([[0, 40, 10, 60], [190, 40, 200, 60]], dtype=np.float32)
    np.testing.assert_allclose(crop_window(boxes, (100, 200), aspect=1, zoom=1), [0, -50, 200, 150])


def test_cut_and_boxes_agree() -> None:
    image = np.zeros((100, 200, 3), dtype=np.uint8)
    image[40:60, 100:130] = 255
    window = np.array([50, -50, 150, 100], dtype=np.float32)
    tile = cut_window(image, window, tile_size=(200, 300))
    assert tile.shape == (300, 200, 3)
    assert (tile[:95] == 128).all()
    assert (tile[105:170] == 0).all()
    x1, y1, x2, y2 = to_tile(np.array([[100, 40, 130, 60]]), window, tile_size=(200, 300))[0]
    np.testing.assert_allclose([x1, y1, x2, y2], [100, 180, 160, 220])
    assert (tile[int(y1) + 4 : int(y2) - 4, int(x1) + 4 : int(x2) - 4] > 250).all()


def test_boxes_are_clipped_to_the_tile() -> None:
    window = np.array([0, 0, 10, 10], dtype=np.float32)
    clipped = to_tile(np.array([[-5, 2, 20, 8]]), window, tile_size=(100, 100))
    np.testing.assert_allclose(clipped, [[0, 20, 99, 80]])
