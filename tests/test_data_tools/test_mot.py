from pathlib import Path

import pytest
from video_folders import write_image, write_mot_sequence

from mmps.data_tools import read_mot
from mmps.datasets.annotations import Person

# frame, track, x, y, w, h, flag, class, visibility
GT = """1,2,11,21,10,20,1,1,1.0
1,5,-9,41,20,30,1,1,0.5
2,2,12.5,21,10,20,1,1,0.09
2,5,100,1,10,20,1,1,1
3,2,1,1,64,48,1,1,0.1
3,7,1,1,5,5,0,1,1
3,8,1,1,6,6,1,7,1
3,9,1,1,7,7,1,3,1
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_mot_sequence(tmp_path, 'MOT17-02-FRCNN', GT)
    write_mot_sequence(tmp_path, 'MOT17-02-SDP', GT)
    # MOT15 writes -1 for what it does not know.
    write_mot_sequence(tmp_path, 'MOT15-A-FRCNN', '2, 2, 5, 5, 4, 4, 1, -1, -1, -1\n', length=2)
    return tmp_path


def test_scenes_and_persons(root):
    scenes = read_mot(root, sequences='*-FRCNN').scenes
    assert [scene.file_name for scene in scenes] == [
        'MOT15-A-FRCNN/img1/000001.jpg',
        'MOT15-A-FRCNN/img1/000002.jpg',
        'MOT17-02-FRCNN/img1/000001.jpg',
        'MOT17-02-FRCNN/img1/000002.jpg',
        'MOT17-02-FRCNN/img1/000003.jpg',
    ]
    assert [scene.sequence_id for scene in scenes] == [0, 0, 1, 1, 1]
    assert {scene.camera_id for scene in scenes} == {-1}
    assert {scene.size for scene in scenes} == {(64, 48)}
    assert [scene.persons for scene in scenes] == [
        (),
        # Track 2 of another sequence is another person.
        (Person((4, 4, 4, 4), 0),),
        # Pixels count from 0; clipped to the frame.
        (Person((10, 20, 10, 20), 1), Person((0, 40, 10, 8), 2)),
        # Hidden; the other lies wholly outside.
        (Person((11.5, 20, 10, 20), ignored=True),),
        # Seen just enough; flag 0; a static person; a car is nothing at all.
        (
            Person((0, 0, 64, 48), 1),
            Person((0, 0, 5, 5), ignored=True),
            Person((0, 0, 6, 6), ignored=True),
        ),
    ]


def test_every_nth_frame_and_visibility(root):
    scenes = read_mot(root, sequences='MOT17-02-FRCNN', every=2, min_visibility=0.6).scenes
    assert [scene.file_name[-10:] for scene in scenes] == ['000001.jpg', '000003.jpg']
    assert [person.person_id for scene in scenes for person in scene.persons] == [0, -1, -1, -1, -1]


def test_all_sequences_by_default(root):
    assert len(read_mot(root).scenes) == 8


def test_no_sequences(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder '\*' with a seqinfo\.ini"):
        read_mot(tmp_path)


def test_missing_parts(root):
    folder = root / 'MOT17-02-SDP'
    (folder / 'gt' / 'gt.txt').unlink()
    with pytest.raises(FileNotFoundError, match=r'SDP/gt/gt\.txt: no such file; only'):
        read_mot(root)
    for frame in (folder / 'img1').iterdir():
        frame.unlink()
    write_image(folder / 'img1' / 'cover.jpg')
    with pytest.raises(FileNotFoundError, match=r'SDP/img1: no frames like 000001\.jpg'):
        read_mot(root)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', "seqinfo.ini: not as MOT Challenge has it: .*'Sequence'"),
        ('no section', 'seqinfo.ini: not as MOT Challenge has it: File contains no section'),
        ('[Sequence]\nimWidth=wide\n', "seqinfo.ini: not as .*'wide'"),
        ('[Sequence]\nimWidth=64\n', r'imWidth and imHeight must say .* not \(64, 0\)'),
    ],
)
def test_bad_seqinfo(root, text, message):
    (root / 'MOT17-02-SDP' / 'seqinfo.ini').write_text(text)
    with pytest.raises(ValueError, match=message):
        read_mot(root)


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('1,2,11,21,10', 'is not "frame, track, x, y, w, h, flag, class, visibility"'),
        ('1,2,11,21,10,x,1', 'is not "frame'),
        ('1.5,2,11,21,10,20,1', 'is not "frame'),
        ('1,2,nan,21,10,20,1,1,1', 'is not "frame'),
        ('4,2,11,21,10,20,1', 'frame 4 is not in img1/'),
    ],
)
def test_bad_line(root, line, message):
    (root / 'MOT17-02-SDP' / 'gt' / 'gt.txt').write_text(f'1,2,1,1,9,9,1,1,1\n\n{line}\n')
    with pytest.raises(ValueError, match=rf'SDP/gt/gt\.txt:3: .*{message}'):
        read_mot(root)
