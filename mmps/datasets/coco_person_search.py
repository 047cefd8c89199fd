"""One's own data: COCO JSON with identities."""

import os
from pathlib import Path
from typing import Any

from mmps.registry import DATASETS

from .annotations import UNKNOWN, Annotations, Box, Query, draw_queries
from .coco_files import load_annotations
from .person_search_dataset import (
    PersonSearchDataset,
    check_frame_files,
    person_instance,
    relabel,
    split_items,
)


@DATASETS.register_module()
class CocoPersonSearchDataset(PersonSearchDataset):
    """A COCO JSON file whose annotations have a ``person_id``, as one of the three splits.

    Items are those of :class:`PersonSearchDataset`, in the order of the file's ``images``, whose
    ``file_name`` is ``img_name``; ``width`` and ``height`` are there where the file has them.
    ``train`` reads one file, ``gallery`` and ``query`` another: all its images are searched, and
    its ``queries`` say for whom. A file without that list gets one query for every person and
    camera (see :func:`mmps.datasets.annotations.draw_queries`).

    Pids are in the order of the ``person_id`` of the file, which are ``metainfo['person_ids']``.
    Boxes are as the file has them, neither rounded nor clipped. As in MMDet, ``iscrowd`` gives
    ``ignore_flag`` 1 (with pid -1), ``ignore`` drops an annotation, and annotations of other
    categories than ``metainfo['classes']`` are passed over. The whole format is described in
    ``docs/custom_data.md`` and :mod:`mmps.datasets.coco_files`.

    Args:
        data_root: folder of the dataset.
        split: 'train', 'gallery' or 'query'.
        ann_file: the JSON file, relative to ``data_root``.
        images: folder to which every ``file_name`` is relative, itself relative to ``data_root``.
        query_seed: where queries are drawn, another seed draws other ones.
        check_frames: whether every image must be there, and not empty, at the start. Without the
            check, annotations can be used alone; a missing image fails when it is loaded.
        **kwargs: of :class:`mmdet.datasets.BaseDetDataset`; for ``filter_cfg`` see
            :class:`PersonSearchDataset`.

    Raises:
        FileNotFoundError: the JSON file or images are not there.
        ValueError: the file is cut short, or entries make no sense (unknown or repeated ids,
            missing keys, wrong types, boxes without area, ...). The message names the file and the
            first entries; ``tools/analysis_tools/check_dataset.py`` lists all.
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        *,
        ann_file: str,
        images: str = '',
        query_seed: int = 0,
        check_frames: bool = True,
        **kwargs: Any,
    ) -> None:
        self.query_seed = query_seed
        super().__init__(
            split=split,
            check_frames=check_frames,
            data_root=data_root,
            ann_file=ann_file,
            data_prefix={'img_path': images},
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Items of the split, as the class describes them."""
        annotations = load_annotations(Path(self.ann_file), classes=self._metainfo['classes'])
        folder = self.data_prefix['img_path']
        if self.check_frames:
            names = [scene.file_name for scene in annotations.scenes]
            check_frame_files(Path(folder), names, listing=self.ann_file)
        items: list[dict] = []
        for scene in annotations.scenes:
            item = {
                'img_path': os.path.join(folder, scene.file_name),
                'img_id': len(items),
                'img_name': scene.file_name,
                'camera_id': scene.camera_id,
                'sequence_id': scene.sequence_id,
                'instances': [
                    {
                        **person_instance(_corners(person.box), person.person_id),
                        'ignore_flag': int(person.ignored),
                    }
                    for person in scene.persons
                ],
            }
            if scene.size is not None:
                item['width'], item['height'] = scene.size
            items.append(item)
        places = {item['img_name']: item['img_id'] for item in items}
        queries = [
            {
                'bbox': _corners(query.box),
                'pid': query.person_id,
                'query_id': query_id,
                'img_id': places[query.file_name],
            }
            for query_id, query in enumerate(self._queries(annotations))
        ]
        persons = [person for item in items for person in item['instances']]
        self._metainfo['person_ids'] = relabel([*queries, *persons], unknown=UNKNOWN)
        return split_items(self.split, items, queries)

    def _queries(self, annotations: Annotations) -> list[Query]:
        if self.split == 'train':
            return []
        queries = annotations.queries
        if queries is None:
            queries = draw_queries(annotations, seed=self.query_seed)
        if self.split == 'query' and not queries:
            raise ValueError(
                f'{self.ann_file}: nobody to look for: it lists no queries, or no person is in two '
                'images'
            )
        return queries


def _corners(box: Box) -> list[float]:
    x, y, w, h = box
    return [x, y, x + w, y + h]
