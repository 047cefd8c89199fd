"""Annotations as COCO JSON with identities, the format of ``docs/custom_data.md``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmps.datasets.annotations import UNKNOWN, Annotations, Box, Scene
from mmps.files import refuse_to_overwrite, whole_file

_PERSON = 1


def to_coco(annotations: Annotations) -> dict[str, Any]:
    """Content of a JSON file; :func:`mmps.datasets.coco_files.parse_content` gives them back.

    Ids count from 1 in the order of scenes and persons. Without ``queries`` where they are not
    chosen yet.
    """
    image_ids = {scene.file_name: i for i, scene in enumerate(annotations.scenes, start=1)}
    persons = [(scene, person) for scene in annotations.scenes for person in scene.persons]
    content: dict[str, Any] = {
        'images': [_image(scene, image_ids[scene.file_name]) for scene in annotations.scenes],
        'annotations': [
            {
                'id': number,
                'image_id': image_ids[scene.file_name],
                'category_id': _PERSON,
                'bbox': _bbox(person.box),
                'area': _short(person.box[2] * person.box[3]),
                'iscrowd': int(person.ignored),
                'person_id': person.person_id,
            }
            for number, (scene, person) in enumerate(persons, start=1)
        ],
        'categories': [{'id': _PERSON, 'name': 'person'}],
    }
    if annotations.queries is not None:
        content['queries'] = [
            {
                'image_id': image_ids[query.file_name],
                'bbox': _bbox(query.box),
                'person_id': query.person_id,
            }
            for query in annotations.queries
        ]
    return content


def write_coco(files: Mapping[Path, Annotations], *, force: bool = False) -> None:
    """Write JSON files, each whole or not at all.

    Args:
        files: what to write where.
        force: replace files that are there.

    Raises:
        FileExistsError: a file is there and ``force`` is off; then none is written.
    """
    if not force:
        refuse_to_overwrite(files)
    # Everything is turned into text before the first file is touched.
    texts = {
        path: json.dumps(to_coco(annotations), separators=(',', ':'), allow_nan=False).encode()
        for path, annotations in files.items()
    }
    for path, text in texts.items():
        with whole_file(path) as file:
            file.write(text)


def _image(scene: Scene, image_id: int) -> dict[str, Any]:
    image: dict[str, Any] = {'id': image_id, 'file_name': scene.file_name}
    if scene.size is not None:
        image['width'], image['height'] = scene.size
    if scene.camera_id != UNKNOWN:
        image['camera_id'] = scene.camera_id
    if scene.sequence_id != UNKNOWN:
        image['sequence_id'] = scene.sequence_id
    return image


def _bbox(box: Box) -> list[float]:
    return [_short(number) for number in box]


def _short(number: float) -> float:
    """The same number, a whole one without its fraction of zero."""
    return int(number) if float(number).is_integer() else number
