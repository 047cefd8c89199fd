"""What is found wrong with annotations and images, and what they are said to hold."""

from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from video_folders import write_image

from mmps.data_tools import (
    boxes_per_identity,
    check_images,
    dataset_statistics,
    identity_problems,
    scene_problems,
    split_problems,
    statistics_table,
    with_sizes,
)
from mmps.datasets.annotations import Annotations, Person, Query, Scene

BOX = (1, 2, 10, 20)


def texts(problems) -> list[str]:
    return [str(problem) for problem in problems]


# --- annotations


def test_boxes_and_persons_of_a_scene():
    scene = Scene(
        'a.jpg',
        (
            Person(BOX, 5),
            Person(BOX, 6),
            Person((3, 3, 4, 4), 5),
            Person((3.5, 3, 70, 4)),
            Person((64, 3, 4, 4), -1),
            Person((0, 0, 64, 48), ignored=True),
            Person((0, 0, 64, 48), ignored=True),
        ),
        size=(64, 48),
    )
    assert texts(scene_problems(Annotations([scene]))) == [
        'error: a.jpg: 2 boxes are the same, [1, 2, 10, 20]',
        'error: a.jpg: person 5 is there 2 times',
        'warning: a.jpg: box [3.5, 3, 70, 4] reaches out of its image of 64x48 pixels',
        'error: a.jpg: box [64, 3, 4, 4] lies outside of its image of 64x48 pixels',
    ]


def test_identities_and_queries():
    scenes = [
        Scene('a.jpg', (Person(BOX, 5), Person((2, 2, 2, 2), 7))),
        Scene('b.jpg', (Person(BOX, 5),)),
    ]
    queries = [Query('a.jpg', BOX, 5), Query('a.jpg', BOX, 7), Query('b.jpg', BOX, 7)]
    found = texts(identity_problems(Annotations(scenes, queries), training=False))
    assert found == [
        'warning: person 7 is in one image only, a.jpg',
        'error: query 1 (person 7 in a.jpg): the person is in no other image',
        'warning: query 2 (person 7 in b.jpg): nobody there is annotated as that person',
    ]
    assert texts(identity_problems(Annotations(scenes), training=True)) == found[:1]
    assert texts(identity_problems(Annotations(scenes, []), training=False))[1:] == [
        'warning: there are no queries: only detection can be evaluated'
    ]
    nobody = Annotations([Scene('a.jpg', (Person(BOX),))])
    assert texts(identity_problems(nobody, training=True)) == [
        'error: nobody has an identity (person_id >= 0)'
    ]


def test_overlap_of_the_parts():
    train = Annotations([Scene('a.jpg', (Person(BOX, 5),)), Scene('b.jpg', (Person(BOX, 6),))])
    test = Annotations([Scene('b.jpg', (Person(BOX),)), Scene('c.jpg', (Person(BOX, 5),))])
    assert texts(split_problems(train, test)) == [
        'error: person 5 is in the training and in the test part',
        'error: b.jpg: is in the training and in the test part',
    ]
    assert texts(split_problems(train, Annotations([Scene('c.jpg')]))) == []


# --- images


def test_images_missing_damaged_and_of_another_size(tmp_path: Path):
    write_image(tmp_path / 'good.jpg')
    write_image(tmp_path / 'unknown.png', width=30, height=20)
    write_image(tmp_path / 'other.png', width=30, height=20)
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    for name in ('cut.jpg', 'cut.png'):
        cv2.imwrite(str(tmp_path / name), noise)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    (tmp_path / 'text.jpg').write_text('no image')
    (tmp_path / 'empty.jpg').write_bytes(b'')
    names = ('good.jpg', 'no.jpg', 'other.png', 'cut.jpg', 'cut.png', 'text.jpg', 'empty.jpg')
    scenes = [*(Scene(name, size=(64, 48)) for name in names), Scene('unknown.png')]
    annotations, problems = check_images(Annotations(scenes, []), tmp_path)
    assert [problem.split(':')[0] for problem in problems] == list(names[1:])
    assert problems[0] == 'no.jpg: the image is missing'
    assert problems[1] == 'other.png: the image has 30x20 pixels, the annotations say 64x48'
    assert all('not a readable image' in problem for problem in problems[2:])
    assert [scene.file_name for scene in annotations.scenes] == [*names, 'unknown.png']
    assert annotations.scenes[-1].size == (30, 20)
    assert annotations.queries == []


@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
def test_sizes_are_those_that_opencv_reads(tmp_path: Path, orientation: int):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.new('RGB', (64, 48)).save(tmp_path / 'phone.jpg', exif=exif)
    height, width = cv2.imread(str(tmp_path / 'phone.jpg')).shape[:2]
    (scene,) = with_sizes(Annotations([Scene('phone.jpg')]), tmp_path).scenes
    assert scene.size == (width, height)
    assert check_images(Annotations([scene]), tmp_path) == (Annotations([scene]), [])


def test_known_sizes_are_kept(tmp_path: Path):
    annotations = Annotations([Scene('no.jpg', size=(3, 4))], [])
    assert with_sizes(annotations, tmp_path) == annotations
    with pytest.raises(FileNotFoundError, match=r'no\.jpg: there is no such image'):
        with_sizes(Annotations([Scene('no.jpg')]), tmp_path)


# --- statistics


def test_statistics():
    scenes = [
        Scene(
            'a.jpg',
            (Person((0, 0, 5, 10), 3), Person((0, 0, 5, 20), 4), Person((0, 0, 5, 60))),
            size=(64, 48),
            camera_id=1,
            sequence_id=0,
        ),
        Scene('b.jpg', (Person((0, 0, 5, 30), 3), Person(BOX, ignored=True)), size=(64, 48)),
        Scene('c.jpg', (Person((0, 0, 5, 40), 3),), size=(9, 9), camera_id=2, sequence_id=0),
        Scene('d.jpg', camera_id=2),
    ]
    annotations = Annotations(scenes, [Query('a.jpg', (0, 0, 5, 10), 3)])
    assert boxes_per_identity(annotations) == [3, 1]
    found = dataset_statistics(annotations)
    assert (found.images, found.boxes, found.ignored, found.identities) == (4, 5, 1, 2)
    assert found.labelled == pytest.approx(4 / 5)
    assert found.boxes_per_image == (0, 0.75, 1, 1.5, 3)
    assert found.boxes_per_identity == (1, 1.5, 2, 2.5, 3)
    assert found.box_height == (10, 20, 30, 40, 60)
    assert (found.cameras, found.sequences, found.queries) == (2, 1, 1)
    assert found.sizes == {(64, 48): 2, (9, 9): 1}
    table = statistics_table({'train': dataset_statistics(Annotations()), 'test': found})
    rows = {
        line.split('|')[1].strip(): line.split('|')[2:4]
        for line in table.split('\n')[1:-2:]
        if line.startswith('|')
    }
    assert [cell.strip() for cell in rows['boxes with identity']] == ['0.0%', '80.0%']
    assert [cell.strip() for cell in rows['boxes per identity *']] == ['', '1 1.5 2 2.5 3']
    assert [cell.strip() for cell in rows['sizes of images']] == ['unknown', '64x48: 2']
