"""What a data set alone gives of :class:`~mmps.evaluation.predictions.Predictions`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def dataset_arrays(items: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """All arrays of ``Predictions`` but detections, embeddings and the sizes of images.

    Args:
        items: of a gallery, as :class:`~mmps.datasets.PersonSearchDataset` describes them, in its
            order. Persons to be ignored are left out.

    Raises:
        ValueError: if an item has no ``queries``: the split is not a gallery.
    """
    for item in items:
        if 'queries' not in item:
            raise ValueError(
                f"the item of '{item['img_name']}' has no queries: those of the split 'gallery' "
                'of a person search data set have'
            )
    persons = [
        (index, person)
        for index, item in enumerate(items)
        for person in item['instances']
        if not person['ignore_flag']
    ]
    queries = [(index, query) for index, item in enumerate(items) for query in item['queries']]
    queries.sort(key=lambda pair: pair[1]['query_id'])
    return {
        'image_names': np.array([item['img_name'] for item in items]),
        'image_paths': np.array([item['img_path'] for item in items]),
        'camera_ids': np.array([item['camera_id'] for item in items], np.int64),
        'sequence_ids': np.array([item['sequence_id'] for item in items], np.int64),
        'gt_image': np.array([index for index, _ in persons], np.int64),
        'gt_bboxes': _bboxes([person for _, person in persons]),
        'gt_pids': np.array([person['pid'] for _, person in persons], np.int64),
        'query_image': np.array([index for index, _ in queries], np.int64),
        'query_bboxes': _bboxes([query for _, query in queries]),
        'query_pids': np.array([query['pid'] for _, query in queries], np.int64),
        'query_ids': np.array([query['query_id'] for _, query in queries], np.int64),
    }


def _bboxes(entries: Sequence[Mapping[str, Any]]) -> np.ndarray:
    return np.array([entry['bbox'] for entry in entries], np.float32).reshape(-1, 4)
