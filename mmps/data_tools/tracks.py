"""A folder of video sequences with the trajectories of people in them.

LAYOUT is how such a folder must look. UESTC-PS (SeqXt, CMC 2025) is made of sequences and
trajectories; its own files are not public, so this is a plain layout that such data are easily
brought into.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmps.datasets.annotations import UNKNOWN, Annotations, Box, Person, Scene, clip_box

from .images import image_size

LAYOUT = """The folder must look so:
  persons.csv                          sequence,trajectory,person_id   (a header, then a line each)
  cameras.csv                          sequence,camera_id              (may be left out)
  <sequence>/frames/0001.jpg ...       the frames, in the order of their names
  <sequence>/trajectories/<name>.csv   frame,x,y,w,h: one person's boxes, frame is a file's name"""

_SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp'}


def read_tracks(root: Path, *, every: int = 1) -> Annotations:
    """Scenes and persons of all sequences of a folder, which looks as LAYOUT says.

    Trajectories that ``persons.csv`` does not list are of persons without identity. Boxes are
    clipped to their frame; those wholly outside are left out. Sequences are numbered by name.

    Args:
        root: the folder.
        every: take one frame of so many; those between differ little.

    Raises:
        FileNotFoundError: a part of the layout is not there.
        ValueError: a file is no image, or a line is not as it should be or names a sequence,
            trajectory or frame that is not there; the message names file and line.
    """
    sequences = sorted(path.parent for path in root.glob('*/frames') if path.is_dir())
    if not sequences:
        raise FileNotFoundError(f'{root}: no sequence (a folder with frames/) in it. {LAYOUT}')
    numbers = {folder.name: number for number, folder in enumerate(sequences)}
    person_ids = _read_persons(root / 'persons.csv', root, numbers)
    cameras = _read_cameras(root / 'cameras.csv', numbers)
    scenes = []
    for folder in sequences:
        frames = sorted(
            path.name for path in (folder / 'frames').iterdir() if path.suffix.lower() in _SUFFIXES
        )
        boxes = _read_sequence(folder, set(frames))
        for frame in frames[::every]:
            size = image_size(folder / 'frames' / frame)
            persons = [
                Person(clipped, person_ids.get((folder.name, trajectory), UNKNOWN))
                for trajectory, box in boxes[frame]
                if (clipped := clip_box(box, size)) is not None
            ]
            scenes.append(
                Scene(
                    f'{folder.name}/frames/{frame}',
                    tuple(persons),
                    size=size,
                    camera_id=cameras.get(folder.name, UNKNOWN),
                    sequence_id=numbers[folder.name],
                )
            )
    return Annotations(scenes)


def _read_persons(path: Path, root: Path, sequences: dict[str, int]) -> dict[tuple[str, str], int]:
    """Sequence and trajectory -> identity."""
    if not path.is_file():
        raise FileNotFoundError(f'{path}: there is no such file. {LAYOUT}')
    person_ids: dict[tuple[str, str], int] = {}
    for where, row in _rows(path, ('sequence', 'trajectory', 'person_id')):
        key = (row['sequence'], row['trajectory'])
        if row['sequence'] not in sequences:
            raise ValueError(f'{where}: there is no sequence {row["sequence"]!r} in {root}')
        if not (root / key[0] / 'trajectories' / f'{key[1]}.csv').is_file():
            raise ValueError(f'{where}: there is no {key[0]}/trajectories/{key[1]}.csv in {root}')
        if key in person_ids:
            raise ValueError(f'{where}: a line before it is of the same trajectory')
        person_ids[key] = _whole_number(row['person_id'], 'person_id', where)
    return person_ids


def _read_cameras(path: Path, sequences: dict[str, int]) -> dict[str, int]:
    """Sequence -> camera; nothing if there is no such file."""
    cameras: dict[str, int] = {}
    if not path.is_file():
        return cameras
    for where, row in _rows(path, ('sequence', 'camera_id')):
        if row['sequence'] not in sequences:
            raise ValueError(f'{where}: there is no sequence {row["sequence"]!r} in {path.parent}')
        if row['sequence'] in cameras:
            raise ValueError(f'{where}: a line before it is of the same sequence')
        cameras[row['sequence']] = _whole_number(row['camera_id'], 'camera_id', where)
    return cameras


def _read_sequence(folder: Path, frames: set[str]) -> dict[str, list[tuple[str, Box]]]:
    """Frame -> trajectory and box of everybody in it."""
    boxes: defaultdict[str, list[tuple[str, Box]]] = defaultdict(list)
    for path in sorted((folder / 'trajectories').glob('*.csv')):
        seen: set[str] = set()
        for where, row in _rows(path, ('frame', 'x', 'y', 'w', 'h')):
            frame = row['frame']
            if frame not in frames:
                raise ValueError(f'{where}: there is no frame {frame!r} in {folder / "frames"}')
            if frame in seen:
                raise ValueError(f'{where}: a line before it is of the same frame')
            seen.add(frame)
            try:
                x, y, w, h = (float(row[key]) for key in 'xywh')
            except ValueError as error:
                raise ValueError(f'{where}: {error}') from error
            # Not "w <= 0": that is false of NaN.
            if not (w > 0 and h > 0 and abs(x) + abs(y) + w + h < 1e9):
                raise ValueError(f'{where}: x, y, w, h = {x}, {y}, {w}, {h} is no box with an area')
            boxes[frame].append((path.stem, (x, y, w, h)))
    return boxes


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Lines of a CSV file with a header, each with ``file:line`` for messages."""
    with path.open(encoding='utf-8-sig', newline='') as file:
        reader = csv.reader(file, skipinitialspace=True)
        header = [name.strip() for name in next(reader, [])]
        if header != [*columns]:
            raise ValueError(
                f'{path}:1: the header must be {",".join(columns)}, not {",".join(header)!r}'
            )
        for fields in reader:
            if not fields:
                continue
            where = f'{path}:{reader.line_num}'
            if len(fields) != len(columns):
                raise ValueError(f'{where}: {len(fields)} fields, wanted are {",".join(columns)}')
            yield where, dict(zip(columns, (field.strip() for field in fields), strict=True))


def _whole_number(text: str, column: str, where: str) -> int:
    if not text.isdecimal():
        raise ValueError(f'{where}: {column} must be a whole number >= 0, not {text!r}')
    return int(text)
