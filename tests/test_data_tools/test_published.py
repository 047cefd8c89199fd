"""PRW to COCO JSON and back."""

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat
from video_folders import write_image

from mmps.data_tools import annotations_of, to_coco, with_sizes, write_coco, write_prw
from mmps.datasets import CocoPersonSearchDataset, PRWDataset
from mmps.datasets.annotations import Annotations, Person, Query, Scene
from mmps.datasets.coco_checks import check_content
from mmps.datasets.coco_files import load_annotations, parse_content
from mmps.evaluation import Predictions
from mmps.evaluation.dataset_arrays import dataset_arrays
from mmps.evaluation.protocols import custom_protocol, prw_protocol

SPLITS = {'train': 'train.json', 'gallery': 'test.json', 'query': 'test.json'}
EXAMPLE = Annotations(
    [
        Scene(
            'a/1.jpg',
            (Person((1, 2, 3.25, 4), 7), Person((1 / 3, 2, 3, 4)), Person((0, 0, 9, 9), -1, True)),
            size=(64, 48),
            camera_id=0,
            sequence_id=3,
        ),
        Scene('b.jpg', (Person((5, 6, 7, 8), 7), Person((5, 6, 7, 8), 9)), camera_id=2),
    ],
    [Query('b.jpg', (5, 6, 7.5, 8), 9), Query('a/1.jpg', (1, 2, 3.25, 4), 7)],
)


def items(dataset) -> list[dict]:
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def perfect_predictions(items: list[dict]) -> Predictions:
    """Every annotated person is detected, and embedded as what it is."""
    arrays = dataset_arrays(items)
    dim = 1 + max(arrays['gt_pids'].max(), arrays['query_pids'].max())
    return Predictions(
        **arrays,
        image_sizes=np.zeros((len(items), 2), np.int64),
        det_image=arrays['gt_image'],
        det_bboxes=arrays['gt_bboxes'],
        det_scores=np.ones(len(arrays['gt_image']), np.float32),
        det_embeddings=np.eye(dim, dtype=np.float32)[arrays['gt_pids']],
        gt_embeddings=np.zeros((len(arrays['gt_image']), 0), np.float32),
        query_embeddings=np.eye(dim, dtype=np.float32)[arrays['query_pids']],
    )


def prw(root: Path, split: str, **kwargs) -> PRWDataset:
    return PRWDataset(str(root), split, test_mode=True, serialize_data=False, **kwargs)


@pytest.fixture
def files(tiny_prw: Path, tmp_path: Path) -> Path:
    parts = {
        tmp_path / name: with_sizes(annotations_of(prw(tiny_prw, split)), tiny_prw)
        for split, name in (('train', 'train.json'), ('gallery', 'test.json'))
    }
    write_coco(parts)
    return tmp_path


@pytest.mark.parametrize('split', SPLITS)
def test_prw_as_coco_gives_the_same_items(tiny_prw, files, split):
    original = prw(tiny_prw, split)
    converted = CocoPersonSearchDataset(
        str(tiny_prw),
        split,
        ann_file=str(files / SPLITS[split]),
        test_mode=True,
        serialize_data=False,
    )
    assert converted.metainfo['person_ids'] == original.metainfo['person_ids']
    expected = items(original)
    for item in expected:
        item.update(img_name=f'frames/{item["img_name"]}', width=160, height=96)
    assert items(converted) == expected
    assert sum(len(item['instances']) for item in expected) > 3


@pytest.mark.parametrize(('exclude', 'cross_camera'), [('image', False), ('camera', True)])
def test_prw_as_coco_is_searched_alike(tiny_prw, files, exclude, cross_camera):
    converted = CocoPersonSearchDataset(
        str(tiny_prw), 'gallery', ann_file=str(files / 'test.json'), serialize_data=False
    )
    original, ours = (
        perfect_predictions(items(dataset)) for dataset in (prw(tiny_prw, 'gallery'), converted)
    )
    expected = prw_protocol(original, cross_camera=cross_camera)
    protocol = custom_protocol(ours, exclude=exclude)
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(protocol, name), value, err_msg=name)
    assert len(expected.target_indices) > 0


@pytest.mark.parametrize('link', [False, True])
def test_prw_to_coco_and_back_gives_the_same_items(tiny_prw, files, tmp_path, link):
    back = tmp_path / 'back'
    parts = (load_annotations(files / name) for name in ('train.json', 'test.json'))
    write_prw(back, *parts, images=tiny_prw, link=link)
    for split in SPLITS:
        original, returned = items(prw(tiny_prw, split)), items(prw(back, split))
        for item in original:
            item['img_path'] = str(back / 'frames' / item['img_name'])
            same = (tiny_prw / 'frames' / item['img_name']).read_bytes()
            assert Path(item['img_path']).read_bytes() == same
            assert Path(item['img_path']).is_symlink() is link
        assert returned == original
    # What other code reads of PRW.
    for name in ('ID_train', 'ID_test2'):
        ids = [loadmat(root / f'{name}.mat')[name].ravel().tolist() for root in (back, tiny_prw)]
        assert set(ids[0]) <= set(ids[1])
    assert (back / 'query_info.txt').read_bytes().endswith(b'\r\n')


def test_a_query_split_is_no_source(tiny_prw):
    with pytest.raises(ValueError, match="give the split 'gallery'"):
        annotations_of(prw(tiny_prw, 'query'))


def test_identities_must_be_numbers_or_like_p123(tiny_prw):
    dataset = prw(tiny_prw, 'train')
    dataset._metainfo['person_ids'] = ['anna', 'p2', 'p3']
    with pytest.raises(ValueError, match="identity 'anna' is neither"):
        annotations_of(dataset)
    dataset._metainfo['person_ids'] = ['p3', 'p2', 'q3']
    with pytest.raises(ValueError, match=r'two identities .* the same number'):
        annotations_of(dataset)


# --- writing JSON


def test_content_round_trip():
    content = json.loads(json.dumps(to_coco(EXAMPLE)))
    usable, problems = check_content(content)
    assert problems == []
    assert parse_content(usable) == EXAMPLE
    undrawn = Annotations(EXAMPLE.scenes)
    assert parse_content(to_coco(undrawn)).queries is None


def test_content_is_plain_coco():
    content = to_coco(EXAMPLE)
    assert content['images'][1] == {'id': 2, 'file_name': 'b.jpg', 'camera_id': 2}
    assert content['annotations'][0] == {
        'id': 1,
        'image_id': 1,
        'category_id': 1,
        'bbox': [1, 2, 3.25, 4],
        'area': 13,
        'iscrowd': 0,
        'person_id': 7,
    }
    assert [type(number) for number in content['annotations'][0]['bbox']] == [int, int, float, int]
    assert content['categories'] == [{'id': 1, 'name': 'person'}]
    assert content['queries'][0] == {'image_id': 2, 'bbox': [5, 6, 7.5, 8], 'person_id': 9}


def test_nothing_is_overwritten_without_force(tmp_path):
    there, new = tmp_path / 'there.json', tmp_path / 'folder' / 'new.json'
    there.write_text('mine')
    with pytest.raises(FileExistsError, match=r'there\.json: already there; use --force'):
        write_coco({new: EXAMPLE, there: EXAMPLE})
    assert there.read_text() == 'mine'
    assert not new.parent.exists()
    write_coco({new: EXAMPLE, there: EXAMPLE}, force=True)
    assert load_annotations(there) == load_annotations(new) == EXAMPLE
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(new.stat().st_mode) == 0o666 & ~umask


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / 'all.json'
    path.write_text('mine')

    def fail(*args):
        raise OSError('no space left')

    monkeypatch.setattr('mmps.files.os.replace', fail)
    with pytest.raises(OSError, match='no space left'):
        write_coco({path: EXAMPLE}, force=True)
    assert path.read_text() == 'mine'
    assert [p.name for p in tmp_path.iterdir()] == ['all.json']


def test_nan_is_no_json(tmp_path):
    bad = Annotations([Scene('a.jpg', (Person((1, 2, float('nan'), 4)),))])
    with pytest.raises(ValueError, match=r'(?i)nan|out of range'):
        write_coco({tmp_path / 'good.json': EXAMPLE, tmp_path / 'bad.json': bad})
    assert list(tmp_path.iterdir()) == []


# --- writing PRW's layout


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for scene in EXAMPLE.scenes:
        write_image(tmp_path / 'images' / scene.file_name)
    return tmp_path / 'images'


TRAIN = Annotations(EXAMPLE.scenes[:1])
TEST = Annotations(EXAMPLE.scenes[1:], EXAMPLE.queries[:1])


def test_frames_are_renamed_where_they_must(images, tmp_path):
    frames = write_prw(tmp_path / 'out', TRAIN, TEST, images=images)
    assert frames == {'a/1.jpg': 'c0s3_000000', 'b.jpg': 'c2s0_000001'}
    rows = loadmat(tmp_path / 'out' / 'annotations' / 'c0s3_000000.jpg.mat')['box_new']
    # The ignored region is left out, -2 is PRW's person without identity.
    np.testing.assert_array_equal(rows, [[7, 1, 2, 3.25, 4], [-2, 1 / 3, 2, 3, 4]])
    assert (tmp_path / 'out' / 'query_info.txt').read_bytes() == b'9 5 6 7.5 8 c2s0_000001\r\n'
    (item,) = items(prw(tmp_path / 'out', 'gallery', truncate_boxes=False))
    assert item['camera_id'] == 2
    assert [person['pid'] for person in item['instances']] == [0, 1]
    assert item['queries'] == [{'bbox': [5.0, 6.0, 12.5, 14.0], 'pid': 1, 'query_id': 0}]


def test_queries_are_drawn_where_there_are_none(images, tmp_path):
    test = Annotations(EXAMPLE.scenes)
    write_prw(tmp_path / 'out', Annotations([]), test, images=images)
    lines = (tmp_path / 'out' / 'query_info.txt').read_text().split('\n')
    assert lines == ['7 1 2 3.25 4 c0s3_000000', '7 5 6 7 8 c2s0_000001', '']


def test_names_of_another_camera_are_not_kept(tmp_path):
    names = ('x/c1s1_000001.jpg', 'c2s1_000002.jpg')
    for name in names:
        write_image(tmp_path / 'images' / name)
    scenes = [Scene(name, camera_id=int(name[-14])) for name in names]
    kept = write_prw(
        tmp_path / 'kept',
        Annotations(scenes[:1]),
        Annotations(scenes[1:]),
        images=tmp_path / 'images',
    )
    assert list(kept.values()) == ['c1s1_000001', 'c2s1_000002']
    other = [Scene(names[0], camera_id=3), scenes[1]]
    numbered = write_prw(
        tmp_path / 'numbered',
        Annotations(other[:1]),
        Annotations(other[1:]),
        images=tmp_path / 'images',
    )
    assert list(numbered.values()) == ['c3s0_000000', 'c2s0_000001']


@pytest.mark.parametrize(
    ('scene', 'error', 'message'),
    [
        (Scene('b.jpg', camera_id=2), ValueError, r'b\.jpg: is in both parts'),
        (Scene('c.jpg'), ValueError, r'c\.jpg: has no camera_id'),
        (Scene('c.png', camera_id=2), ValueError, r'c\.png: frames of PRW are JPEG'),
        (Scene('c.jpg', camera_id=2), FileNotFoundError, r'images/c\.jpg: there is no such image'),
    ],
)
def test_scenes_that_prw_cannot_have(images, tmp_path, scene, error, message):
    with pytest.raises(error, match=message):
        write_prw(tmp_path / 'out', Annotations([scene]), TEST, images=images)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['images']


def test_prw_is_written_whole_or_not_at_all(images, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    write_prw(out, TRAIN, TEST, images=images)
    with pytest.raises(FileExistsError, match=r'out: already there; use --force'):
        write_prw(out, TEST, TRAIN, images=images)
    before = {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}

    def fail(*args):
        raise OSError('no space left')

    with monkeypatch.context() as patch:
        patch.setattr('mmps.data_tools.prw_writer.shutil.copyfile', fail)
        with pytest.raises(OSError, match='no space left'):
            write_prw(out, TEST, TRAIN, images=images, force=True)
    assert {path: path.read_bytes() for path in out.rglob('*') if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ['images', 'out']
    write_prw(out, TEST, TRAIN, images=images, force=True)
    assert not (out / 'frames' / 'c0s3_000000.jpg').exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ['images', 'out']


def test_only_a_folder_in_prws_layout_is_replaced(images, tmp_path):
    with pytest.raises(FileExistsError, match=r"images: is no folder in PRW's layout"):
        write_prw(images, TRAIN, TEST, images=images, force=True)
    write_prw(tmp_path / 'out', TRAIN, TEST, images=images)
    frames = [Scene(f'{name}.jpg', camera_id=2) for name in ('c0s3_000000', 'c2s0_000001')]
    with pytest.raises(ValueError, match='out: holds the image'):
        write_prw(
            tmp_path / 'out',
            Annotations(frames[:1]),
            Annotations(frames[1:]),
            images=tmp_path / 'out' / 'frames',
            force=True,
        )
