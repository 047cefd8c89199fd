"""Writes tiny folders of MOT Challenge and of tracks."""

from pathlib import Path

import cv2
import numpy as np

SEQINFO = """[Sequence]
name={name}
imDir=img1
frameRate=30
seqLength={length}
imWidth=64
imHeight=48
imExt=.jpg
"""


def write_image(path: Path, width: int = 64, height: int = 48) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))


def write_mot_sequence(root: Path, name: str, gt: str, *, length: int = 3) -> Path:
    folder = root / name
    for number in range(1, length + 1):
        write_image(folder / 'img1' / f'{number:06d}.jpg')
    (folder / 'seqinfo.ini').write_text(SEQINFO.format(name=name, length=length))
    (folder / 'gt').mkdir()
    (folder / 'gt' / 'gt.txt').write_text(gt)
    return folder


def write_tracks(root: Path) -> None:
    for sequence, frames in (('yard', ('f1.jpg', 'f2.jpg', 'f3.jpg')), ('gate', ('7.png',))):
        for frame in frames:
            write_image(root / sequence / 'frames' / frame)
        (root / sequence / 'trajectories').mkdir()
    (root / 'yard' / 'trajectories' / 't0.csv').write_text(
        'frame,x,y,w,h\nf1.jpg,1,2,10,20\nf2.jpg,-4.5,2,10,20\nf3.jpg,70,2,10,20\n'
    )
    (root / 'yard' / 'trajectories' / 't1.csv').write_text('frame,x,y,w,h\nf2.jpg,3,3,4,5\n')
    (root / 'gate' / 'trajectories' / 't0.csv').write_text(
        'frame, x, y, w, h\r\n7.png, 5, 6, 7, 8\r\n\r\n'
    )
    (root / 'persons.csv').write_text('sequence,trajectory,person_id\nyard,t0,12\ngate,t0,12\n')
    (root / 'cameras.csv').write_text('sequence,camera_id\ngate,4\n')
