"""Reading COCO JSON with identities.

Beside what COCO has, an annotation may have ``person_id`` (>= 0; -1 or absent: no identity), an
image ``camera_id`` and ``sequence_id`` (likewise), and the file a list ``queries``, each entry
either ``annotation_id`` or ``image_id``, ``bbox`` and ``person_id``. ``area``, ``width`` and
``height`` may be left out; ``iscrowd`` marks regions that are neither person nor background,
``ignore`` annotations that are passed over, as in MMDet. See docs/custom_data.md.
"""

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO

from .annotations import UNKNOWN, Annotations, Box, Person, Query, Scene
from .coco_checks import Entry, check_content
from .messages import examples


def load_annotations(path: Path, *, classes: Sequence[str] = ('person',)) -> Annotations:
    """Scenes, persons and queries of a file in which nothing is wrong.

    Args:
        path: the JSON file.
        classes: names of the categories that are persons; others are passed over.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is cut short, or entries make no sense; the message names the file and the
            first entries.
    """
    content, problems = check_content(read_json(path), classes=classes)
    if problems:
        raise ValueError(
            f'{path}: {len(problems)} of its entries make no sense: {examples(problems)} '
            '(tools/analysis_tools/check_dataset.py lists all)'
        )
    return parse_content(content, classes=classes)


def read_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is no JSON, or cut short; the message names file, line and column.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: there is no such annotation file')
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        where = f'line {error.lineno}, column {error.colno}: {error.msg}'
        raise ValueError(f'{path}: not JSON, or cut short ({where})') from error
    except (ValueError, RecursionError) as error:  # no text, numbers or nesting beyond all bounds
        raise ValueError(f'{path}: not JSON ({error})') from error


def parse_content(
    content: Mapping[str, list[Entry]], *, classes: Sequence[str] = ('person',)
) -> Annotations:
    """Scenes, persons and queries of content that makes sense.

    Args:
        content: of a whole file, as :func:`~mmps.datasets.coco_checks.check_content` gives it.
        classes: names of the categories that are persons; others are passed over.
    """
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress by print
        coco.createIndex()
    category_ids = set(coco.getCatIds(catNms=list(classes)))
    scenes = [
        Scene(
            image['file_name'],
            tuple(
                Person(
                    _box(annotation),
                    annotation.get('person_id', UNKNOWN),
                    ignored=bool(annotation.get('iscrowd', False)),
                )
                for annotation in coco.imgToAnns.get(image['id'], ())
                if annotation['category_id'] in category_ids and not annotation.get('ignore', False)
            ),
            size=(image['width'], image['height']) if 'width' in image else None,
            camera_id=image.get('camera_id', UNKNOWN),
            sequence_id=image.get('sequence_id', UNKNOWN),
        )
        for image in content['images']
    ]
    if 'queries' not in content:
        return Annotations(scenes)
    queries = []
    for query in content['queries']:
        entry = coco.anns[query['annotation_id']] if 'annotation_id' in query else query
        file_name = coco.imgs[entry['image_id']]['file_name']
        queries.append(Query(file_name, _box(entry), entry['person_id']))
    return Annotations(scenes, queries)


def _box(entry: Entry) -> Box:
    x, y, w, h = map(float, entry['bbox'])
    return x, y, w, h
