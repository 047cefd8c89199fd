"""Loading and resizing at once: the same as one after the other, and boxes where they belong."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.registry import DefaultScope
from PIL import Image

from mmps.datasets import LoadImage, LoadResizedImage

BOX = (310.0, 105.0, 470.0, 333.0)


@pytest.fixture(autouse=True)
def _mmdet_scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture
def scene() -> np.ndarray:
    """A smooth 801 x 451 image with a dark person at BOX."""
    y, x = np.mgrid[:451, :801]
    image = np.stack([120 + 80 * np.sin(x / 90), 150 + y / 6, 200 - x / 10], axis=2)
    x1, y1, x2, y2 = map(int, BOX)
    image[y1:y2, x1:x2] = 10
    return cv2.GaussianBlur(image.astype(np.uint8), (0, 0), 3)


def write(path: Path, image: np.ndarray, **options: Any) -> str:
    Image.fromarray(image[..., ::-1]).save(path, **options)
    return str(path)


def item(path: str) -> dict[str, Any]:
    person = {'bbox': list(BOX), 'bbox_label': 0, 'ignore_flag': 0, 'pid': 3}
    return {'img_path': path, 'instances': [person]}


def both(path: str, scale: tuple[int, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    annotations = dict(type='mmps.LoadPersonSearchAnnotations')
    once = [annotations, dict(type='mmps.LoadResizedImage', scale=scale)]
    twice = [
        dict(type='mmps.LoadImage'),
        annotations,
        dict(type='Resize', scale=scale, keep_ratio=True),
    ]
    return Compose(once)(item(path)), Compose(twice)(item(path))


@pytest.mark.parametrize(
    ('name', 'scale'),
    [('a.jpg', (700, 400)), ('a.jpg', (1500, 900)), ('a.jpg', (402, 402)), ('a.png', (200, 100))],
)
def test_nothing_changes_where_no_jpeg_is_twice_as_large(scene, tmp_path, name, scale) -> None:
    once, twice = both(write(tmp_path / name, scene), scale)
    np.testing.assert_array_equal(once['img'], twice['img'])


@pytest.mark.parametrize('scale', [(1500, 900), (400, 300), (200, 120), (100, 56), (37, 80)])
def test_boxes_and_sizes_are_those_of_resizing(scene, tmp_path, scale) -> None:
    once, twice = both(write(tmp_path / 'a.jpg', scene, quality=95), scale)
    for key in ('img_shape', 'ori_shape', 'scale_factor', 'scale', 'keep_ratio'):
        assert once[key] == twice[key], key
    np.testing.assert_array_equal(once['gt_bboxes'].tensor, twice['gt_bboxes'].tensor)
    assert once['img'].shape == twice['img'].shape
    # Other interpolation, but the same picture, nowhere moved: of a smooth one.
    error = np.abs(once['img'].astype(int) - twice['img'])
    assert error.mean() < 2


@pytest.mark.parametrize(('scale', 'flag'), [(400, 17), (200, 33), (100, 65), (402, 1)])
def test_jpegs_are_decoded_at_the_smallest_size_that_suffices(
    scene, tmp_path, monkeypatch, scale, flag
) -> None:
    decode, flags = cv2.imdecode, []
    monkeypatch.setattr(
        cv2, 'imdecode', lambda data, flag: flags.append(flag) or decode(data, flag)
    )
    path = write(tmp_path / 'a.jpg', scene)
    results = LoadResizedImage((scale, scale))({'img_path': path})
    assert results is not None
    assert flags == [flag]  # cv2.IMREAD_REDUCED_COLOR_2, _4, _8; IMREAD_COLOR


def test_turned_images_are_upright(scene, tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write(tmp_path / 'a.jpg', scene, exif=exif)
    once, twice = both(path, (200, 200))
    assert once['ori_shape'] == twice['ori_shape'] == (801, 451)
    assert once['img'].shape == twice['img'].shape == (200, 113, 3)
    assert np.abs(once['img'].astype(int) - twice['img']).mean() < 2


@pytest.mark.parametrize('content', [b'', b'no image', b'\xff\xd8\xff\xe0 cut off'])
def test_damaged_files_are_skipped_by_name(scene, tmp_path, content) -> None:
    damaged = tmp_path / 'bad.jpg'
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match=r'An image cannot be read: .*bad\.jpg'):
        LoadResizedImage((200, 200))({'img_path': str(damaged)})
    load = LoadResizedImage((200, 200), skip_unreadable=True)
    assert load({'img_path': str(damaged)}) is None
    results = load({'img_path': write(tmp_path / 'good.jpg', scene)})
    assert results is not None
    assert 'bad.jpg' in results['unreadable'][0]
    assert isinstance(load, LoadImage)


def test_benchmark(run_tool, capsys) -> None:
    def run(*arguments: str) -> str:
        options = ['--frame', '320', '192', '--rounds', '1', '--scale', *arguments]
        run_tool('analysis_tools/benchmark_loading.py', *options)
        return capsys.readouterr().out

    reduced = json.loads(run('80', '48', '--json'))
    assert 0 < reduced['mean_difference'] < 10
    assert json.loads(run('200', '120', '--json'))['mean_difference'] == 0
    assert 'A JPEG of 320 x 192 pixels to fit in 200 x 120:' in run('200', '120')
