"""Annotations from any dataset of person search that mmps reads."""

import os
import re
from collections.abc import Sequence
from typing import Any

from mmps.datasets.annotations import UNKNOWN, Annotations, Box, Person, Query, Scene
from mmps.datasets.person_search_dataset import PersonSearchDataset

_NAME = re.compile(r'\D*(\d+)')


def annotations_of(dataset: PersonSearchDataset) -> Annotations:
    """Scenes, persons and queries that a dataset gives, with its own identities.

    Boxes are those of its items, which for PRW are clipped at 0 and whole numbers. File names are
    relative to ``data_root``.

    Args:
        dataset: the split 'train' or 'gallery'; all its items should be there (``test_mode`` or no
            ``filter_cfg``).

    Raises:
        ValueError: the dataset is of the split 'query', or an identity is not a number or a name
            like p123, which no number can be made of.
    """
    if dataset.split == 'query':
        raise ValueError("split='query' has no scenes of its own; give the split 'gallery'")
    dataset.full_init()
    items = [dataset.get_data_info(index) for index in range(len(dataset))]
    person_ids = _numbers(dataset.metainfo['person_ids'])
    person_ids[-1] = UNKNOWN
    names = [os.path.relpath(item['img_path'], dataset.data_root) for item in items]
    scenes = [
        Scene(
            name,
            tuple(
                Person(
                    _xywh(instance['bbox']),
                    person_ids[instance['pid']],
                    ignored=bool(instance['ignore_flag']),
                )
                for instance in item['instances']
            ),
            size=(item['width'], item['height']) if 'width' in item else None,
            camera_id=item['camera_id'],
            sequence_id=item['sequence_id'],
        )
        for name, item in zip(names, items, strict=True)
    ]
    if dataset.split == 'train':
        return Annotations(scenes)
    queries = {
        query['query_id']: Query(name, _xywh(query['bbox']), person_ids[query['pid']])
        for name, item in zip(names, items, strict=True)
        for query in item['queries']
    }
    return Annotations(scenes, [queries[query_id] for query_id in sorted(queries)])


def _numbers(person_ids: Sequence[Any]) -> dict[int, int]:
    """Pid -> the identity as a number: itself in PRW, 123 for CUHK-SYSU's p123."""
    numbers = {}
    for pid, person_id in enumerate(person_ids):
        match = _NAME.fullmatch(str(person_id))
        if match is None:
            raise ValueError(f'identity {person_id!r} is neither a number >= 0 nor like p123')
        numbers[pid] = int(match.group(1))
    if len(set(numbers.values())) < len(numbers):
        raise ValueError('two identities of the dataset have the same number in their names')
    return numbers


def _xywh(corners: Sequence[float]) -> Box:
    x1, y1, x2, y2 = map(float, corners)
    return x1, y1, x2 - x1, y2 - y1
