"""MOT Challenge (Milan et al., arXiv 1603.00831) as annotations for person search.

A folder holds a folder a sequence: ``seqinfo.ini`` (section ``Sequence``: imDir, imExt, imWidth,
imHeight), the frames ``img1/000001.jpg``, ... and ``gt/gt.txt``, a line ``frame, track, x, y, w, h,
flag, class, visibility`` a box. Frames, tracks and pixels count from 1. MOT15 has no class, later
sets write -1 for what they do not know.
"""

import configparser
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mmps.datasets.annotations import UNKNOWN, Annotations, Box, Person, Scene, clip_box

PERSON_CLASSES = (1, -1)
"""Pedestrian; or no class is given."""

NEUTRAL_CLASSES = (2, 7, 8, 12)
"""Person on a vehicle, static person, distractor, reflection: neither to be found nor background,
as MOT Challenge evaluates."""


@dataclass(frozen=True)
class _Row:
    frame: int
    track: int
    box: Box
    flag: float
    category: int
    visibility: float


@dataclass(frozen=True)
class _Sequence:
    frames: dict[int, str]
    size: tuple[int, int]
    rows: list[_Row]


def read_mot(
    root: Path, *, sequences: str = '*', every: int = 1, min_visibility: float = 0.1
) -> Annotations:
    """Scenes and persons of all sequences of a folder.

    A track is a person, another one in every sequence. Pedestrians whose flag is not 0 are
    persons; pedestrians whose flag is 0 or who are hidden, and the neutral classes, are ignored
    regions; all else is left out. Boxes are clipped to the frame and moved by one pixel, since
    here pixels count from 0. Scenes have no camera; sequences are numbered by name.

    Args:
        root: the folder, e.g. ``MOT17/train``.
        sequences: pattern of the names of sequences, e.g. ``*-FRCNN``: MOT17 holds each three
            times, once for every detector.
        every: take one frame of so many; those between differ little.
        min_visibility: persons of whom less is visible are ignored; where it is not known (-1, or
            the column is absent) everybody is visible.

    Raises:
        FileNotFoundError: no sequence is there, or a file or frame of one.
        ValueError: a file or line is not as it should be; the message names it.
    """
    folders = sorted(path.parent for path in root.glob(f'{sequences}/seqinfo.ini'))
    if not folders:
        raise FileNotFoundError(
            f'{root}: no folder {sequences!r} with a seqinfo.ini in it; give the folder of the '
            'sequences, such as MOT17/train'
        )
    person_ids: dict[tuple[int, int], int] = {}
    scenes = []
    for sequence_id, folder in enumerate(folders):
        sequence = _read_sequence(folder)
        rows = defaultdict(list)
        for row in sequence.rows:
            rows[row.frame].append(row)
        for number in sorted(sequence.frames)[::every]:
            persons = []
            for row in rows[number]:
                box = clip_box(row.box, sequence.size)
                kind = _kind(row, min_visibility)
                if box is None or kind is None:
                    continue
                if kind == 'ignored':
                    persons.append(Person(box, ignored=True))
                else:
                    key = (sequence_id, row.track)
                    person_id = person_ids.setdefault(key, len(person_ids))
                    persons.append(Person(box, person_id))
            scenes.append(
                Scene(
                    f'{folder.name}/{sequence.frames[number]}',
                    tuple(persons),
                    size=sequence.size,
                    camera_id=UNKNOWN,
                    sequence_id=sequence_id,
                )
            )
    return Annotations(scenes)


def _kind(row: _Row, min_visibility: float) -> str | None:
    if row.category in NEUTRAL_CLASSES:
        return 'ignored'
    if row.category not in PERSON_CLASSES:
        return None
    hidden = 0 <= row.visibility < min_visibility
    return 'ignored' if hidden or row.flag == 0 else 'person'


def _read_sequence(folder: Path) -> _Sequence:
    path = folder / 'seqinfo.ini'
    parser = configparser.ConfigParser()
    try:
        parser.read_string(path.read_text(encoding='utf-8'), source=str(path))
        info = parser['Sequence']
        size = (info.getint('imWidth', 0), info.getint('imHeight', 0))
    except (configparser.Error, ValueError, KeyError) as error:
        raise ValueError(f'{path}: not as MOT Challenge has it: {error}') from error
    if min(size) < 1:
        raise ValueError(f'{path}: imWidth and imHeight must say how large frames are, not {size}')
    image_dir, suffix = info.get('imDir', 'img1'), info.get('imExt', '.jpg')
    frames = {
        int(frame.stem): f'{image_dir}/{frame.name}'
        for frame in (folder / image_dir).glob(f'*{suffix}')
        if frame.stem.isdecimal()
    }
    if not frames:
        raise FileNotFoundError(f'{folder / image_dir}: no frames like 000001{suffix} in it')
    gt = folder / 'gt' / 'gt.txt'
    if not gt.is_file():
        raise FileNotFoundError(
            f'{gt}: no such file; only sequences with ground truth can be converted'
        )
    rows = []
    for line_number, line in enumerate(gt.read_text(encoding='utf-8').splitlines(), start=1):
        if line.strip():
            row = _parse_row(line, where=f'{gt}:{line_number}')
            if row.frame not in frames:
                raise ValueError(f'{gt}:{line_number}: frame {row.frame} is not in {image_dir}/')
            rows.append(row)
    return _Sequence(frames, size, rows)


def _parse_row(line: str, *, where: str) -> _Row:
    fields = line.split(',')
    try:
        numbers = [float(field) for field in fields]
        if len(numbers) < 7 or not all(map(math.isfinite, numbers)):
            raise ValueError
        frame, track = int(fields[0]), int(fields[1])
    except ValueError:
        raise ValueError(
            f'{where}: {line!r} is not "frame, track, x, y, w, h, flag, class, visibility"'
        ) from None
    x, y, w, h, flag = numbers[2:7]
    # MOT15 has -1, -1, -1 (a point in the world) after the flag.
    category = int(numbers[7]) if len(numbers) > 7 else -1
    visibility = numbers[8] if len(numbers) > 8 else -1.0
    return _Row(frame, track, (x - 1, y - 1, w, h), flag, category, visibility)
