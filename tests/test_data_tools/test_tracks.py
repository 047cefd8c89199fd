from pathlib import Path

import pytest
from video_folders import write_image, write_tracks

from mmps.data_tools import read_tracks
from mmps.datasets.annotations import Person


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tracks(tmp_path)
    return tmp_path


def test_scenes_and_persons(root):
    write_image(root / 'gate' / 'frames' / '8.png', width=80, height=50)
    (root / 'gate' / 'frames' / 'notes.txt').write_text('no frame')
    (root / 'thumbnails').mkdir()
    scenes = read_tracks(root).scenes
    assert [(scene.file_name, scene.camera_id, scene.sequence_id) for scene in scenes] == [
        ('gate/frames/7.png', 4, 0),
        ('gate/frames/8.png', 4, 0),
        ('yard/frames/f1.jpg', -1, 1),
        ('yard/frames/f2.jpg', -1, 1),
        ('yard/frames/f3.jpg', -1, 1),
    ]
    assert [scene.size for scene in scenes] == [(64, 48), (80, 50), (64, 48), (64, 48), (64, 48)]
    # The same person in both sequences; t1 is in no line of persons.csv; the last lies outside.
    assert [scene.persons for scene in scenes] == [
        (Person((5, 6, 7, 8), 12),),
        (),
        (Person((1, 2, 10, 20), 12),),
        (Person((0, 2, 5.5, 20), 12), Person((3, 3, 4, 5), -1)),
        (),
    ]


def test_every_nth_frame(root):
    names = [scene.file_name for scene in read_tracks(root, every=2).scenes]
    assert names == ['gate/frames/7.png', 'yard/frames/f1.jpg', 'yard/frames/f3.jpg']


def test_cameras_may_be_left_out(root):
    (root / 'cameras.csv').unlink()
    assert {scene.camera_id for scene in read_tracks(root).scenes} == {-1}


def test_missing_parts(root, tmp_path_factory):
    (root / 'persons.csv').unlink()
    with pytest.raises(
        FileNotFoundError, match=r'persons\.csv: there is no such file\. The folder'
    ):
        read_tracks(root)
    with pytest.raises(FileNotFoundError, match=r'(?s)no sequence .*<sequence>/frames/0001\.jpg'):
        read_tracks(tmp_path_factory.mktemp('empty'))


def test_frame_that_is_no_image(root):
    (root / 'yard' / 'frames' / 'f2.jpg').write_bytes(b'cut')
    with pytest.raises(ValueError, match=r'yard/frames/f2\.jpg: not an image, or cut short'):
        read_tracks(root)


@pytest.mark.parametrize(
    ('file', 'line', 'message'),
    [
        ('persons.csv', 'roof,t0,1', "there is no sequence 'roof'"),
        ('persons.csv', 'yard,t9,1', r'there is no yard/trajectories/t9\.csv'),
        ('persons.csv', 'yard,t1,-1', "person_id must be a whole number >= 0, not '-1'"),
        ('persons.csv', 'yard,t1', '2 fields, wanted are sequence,trajectory,person_id'),
        ('persons.csv', 'yard,t0,3', 'a line before it is of the same trajectory'),
        ('cameras.csv', 'roof,1', "there is no sequence 'roof'"),
        ('cameras.csv', 'gate,1', 'a line before it is of the same sequence'),
        ('cameras.csv', 'yard,north', "camera_id must be a whole number >= 0, not 'north'"),
        ('yard/trajectories/t1.csv', 'f9.jpg,1,1,1,1', "there is no frame 'f9.jpg' in .*yard/fram"),
        ('yard/trajectories/t1.csv', 'f2.jpg,1,1,1,1', 'a line before it is of the same frame'),
        ('yard/trajectories/t1.csv', 'f1.jpg,1,1,1,tall', "could not convert .*'tall'"),
        ('yard/trajectories/t1.csv', 'f1.jpg,1,1,0,1', 'is no box with an area'),
        ('yard/trajectories/t1.csv', 'f1.jpg,1,1,nan,1', 'is no box with an area'),
        ('yard/trajectories/t1.csv', 'f1.jpg,inf,1,1,1', 'is no box with an area'),
    ],
)
def test_bad_line(root, file, line, message):
    path = root / file
    number = len(path.read_text().splitlines()) + 1
    path.write_text(path.read_text() + line + '\n')
    with pytest.raises(ValueError, match=rf'{file}:{number}: .*{message}'):
        read_tracks(root)


def test_bad_header(root):
    (root / 'persons.csv').write_text('sequence;trajectory;person_id\n')
    with pytest.raises(ValueError, match=r'persons\.csv:1: the header must be sequence,trajectory'):
        read_tracks(root)
    (root / 'persons.csv').write_text('')
    with pytest.raises(ValueError, match=r"persons\.csv:1: the header .* not ''"):
        read_tracks(root)
