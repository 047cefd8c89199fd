"""Annotations as a folder in PRW's layout, which other code for person search reads."""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from mmps.datasets.annotations import UNKNOWN, Annotations, Box, Scene, draw_queries
from mmps.datasets.prw_files import UNKNOWN_ID
from mmps.files import refuse_to_overwrite, whole_folder
from mmps.sample.layout import write_annotation, write_split

_NAME = re.compile(r'c(\d+)s\d+_\d+')
_SUFFIXES = {'.jpg', '.jpeg'}


def write_prw(
    root: Path,
    train: Annotations,
    test: Annotations,
    *,
    images: Path,
    link: bool = False,
    force: bool = False,
) -> dict[str, str]:
    """Write a folder in PRW's layout, whole or not at all.

    Frames keep their names where all are like PRW's (``c1s1_000151.jpg``, the number after c being
    the camera), else they are numbered: ``c<camera>s<sequence>_<number>``, sequence 0 where it is
    not known. PRW knows no ignored regions: they are left out. Queries are drawn where the test
    part has none.

    Args:
        root: the folder to make.
        train: for ``frame_train.mat``.
        test: for ``frame_test.mat``, with the queries.
        images: folder to which file names are relative.
        link: make symbolic links to the images in place of copies.
        force: replace ``root`` if it is a folder in PRW's layout.

    Returns:
        File name of every scene -> name of its frame, without suffix.

    Raises:
        FileExistsError: ``root`` is there, and ``force`` is off or it is something else.
        FileNotFoundError: an image is not there.
        ValueError: a scene has no camera, is no JPEG file, or is in both parts, or ``root`` holds
            the images themselves.
    """
    if root.exists() and not force:
        refuse_to_overwrite([root])
    if root.exists() and not (root / 'frame_train.mat').is_file():
        raise FileExistsError(f"{root}: is no folder in PRW's layout, and is not replaced")
    scenes = [*train.scenes, *test.scenes]
    frames = _frame_names(scenes)
    for scene in scenes:
        source = images / scene.file_name
        if not source.is_file():
            raise FileNotFoundError(f'{source}: there is no such image')
        if source.resolve().is_relative_to(root.resolve()):
            raise ValueError(f'{root}: holds the image {scene.file_name}; name another folder')
    queries = draw_queries(test) if test.queries is None else test.queries
    with whole_folder(root) as folder:
        for name in ('frames', 'annotations'):
            (folder / name).mkdir()
        for scene in scenes:
            frame = frames[scene.file_name]
            source, target = images / scene.file_name, folder / 'frames' / f'{frame}.jpg'
            if link:
                target.symlink_to(source.resolve())
            else:
                shutil.copyfile(source, target)
            rows = [
                (UNKNOWN_ID if person.person_id == UNKNOWN else person.person_id, *person.box)
                for person in scene.persons
                if not person.ignored
            ]
            write_annotation(folder, frame, rows)
        for part in (train, test):
            names = [frames[scene.file_name] for scene in part.scenes]
            write_split(folder, test=part is test, names=names, pids=sorted(part.person_ids()))
        lines = [
            f'{query.person_id} {_numbers(query.box)} {frames[query.file_name]}\r\n'
            for query in queries
        ]
        (folder / 'query_info.txt').write_bytes(''.join(lines).encode())
    return frames


def _frame_names(scenes: Iterable[Scene]) -> dict[str, str]:
    """File name -> name of the frame, all different."""
    frames: dict[str, str] = {}
    numbered: dict[str, str] = {}
    for number, scene in enumerate(scenes):
        stem, suffix = os.path.splitext(os.path.basename(scene.file_name))
        if suffix.lower() not in _SUFFIXES:
            raise ValueError(f'{scene.file_name}: frames of PRW are JPEG files')
        if scene.camera_id == UNKNOWN:
            raise ValueError(
                f"{scene.file_name}: has no camera_id, with which the names of PRW's frames begin"
            )
        if scene.file_name in numbered:
            raise ValueError(f'{scene.file_name}: is in both parts')
        match = _NAME.fullmatch(stem)
        if match is not None and int(match.group(1)) == scene.camera_id:
            frames[scene.file_name] = stem
        sequence = 0 if scene.sequence_id == UNKNOWN else scene.sequence_id
        numbered[scene.file_name] = f'c{scene.camera_id}s{sequence}_{number:06d}'
    kept = len(frames) == len(numbered) == len(set(frames.values()))
    return frames if kept else numbered


def _numbers(box: Box) -> str:
    """Written so that they are read as the very same numbers."""
    return ' '.join(str(int(n)) if float(n).is_integer() else repr(float(n)) for n in box)
