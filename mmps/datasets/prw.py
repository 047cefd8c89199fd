"""PRW: persons re-identified in the wild (Zheng et al., CVPR 2017), in its own folder layout."""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmps.registry import DATASETS

from .messages import examples
from .person_search_dataset import (
    PersonSearchDataset,
    check_frame_files,
    check_layout,
    has_area,
    person_instance,
    relabel,
    split_items,
)
from .prw_cache import load_person_rows
from .prw_files import (
    UNKNOWN_ID,
    annotation_boxes,
    camera_of,
    query_boxes,
    read_frame_list,
    read_queries,
)

LAYOUT = """PRW is published as PRW-v16.04.20 at \
https://zheng-lab.cecs.anu.edu.au/Project/project_prw.html; unpacked, the folder must look so:
  frames/c1s1_000151.jpg ...           the frames
  annotations/c1s1_000151.jpg.mat ...  their persons
  frame_train.mat, frame_test.mat      which frames are of which split
  query_info.txt                       whom to look for"""

_LISTINGS = {
    'train': ('frame_train.mat', 'img_index_train'),
    'gallery': ('frame_test.mat', 'img_index_test'),
    'query': ('frame_test.mat', 'img_index_test'),
}


@DATASETS.register_module()
class PRWDataset(PersonSearchDataset):
    """PRW as published, one of its three splits.

    Items are those of :class:`PersonSearchDataset`. ``camera_id`` is 1 to 6. Pids are in the order
    of the original identities, which are ``metainfo['person_ids']``; ``gallery`` and ``query``
    number the identities of both, so their pids agree.

    Boxes are by default those of SeqNet's loader, on which published figures rest: annotations are
    clipped at 0 as x, y, w, h, added and truncated to whole pixels; queries are added, truncated
    and clipped at 0 afterwards.

    Parsing thousands of annotation files is cached (see :mod:`mmps.datasets.prw_cache`).

    Args:
        data_root: the unpacked folder ``PRW-v16.04.20``.
        split: 'train', 'gallery' or 'query'.
        truncate_boxes: whether boxes are truncated to whole pixels.
        check_frames: whether every listed frame must be in ``frames/``, and not empty, at the
            start. Without the check, annotations can be used alone; a missing frame fails when
            it is loaded.
        **kwargs: of :class:`mmdet.datasets.BaseDetDataset`; for ``filter_cfg`` see
            :class:`PersonSearchDataset`.

    Raises:
        FileNotFoundError: the folder, a file of the layout, or frames' files are not there.
        ValueError: a file is damaged, an entry makes no sense, a query's frame is not in the
            gallery, or a box of ``gallery`` or of a query has no area (in ``train`` such boxes
            are dropped with one warning that counts them). Each names file and entry.
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        *,
        truncate_boxes: bool = True,
        check_frames: bool = True,
        **kwargs: Any,
    ) -> None:
        self.truncate_boxes = truncate_boxes
        super().__init__(
            split=split,
            check_frames=check_frames,
            data_root=data_root,
            data_prefix={'img_path': 'frames'},
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Items of the split, as the class describes them."""
        root = Path(self.data_root)
        listing, key = _LISTINGS[self.split]
        check_layout(
            self.data_root,
            ['annotations', listing, *([] if self.split == 'train' else ['query_info.txt'])],
            frames='frames' if self.check_frames else None,
            layout=LAYOUT,
        )
        frames = read_frame_list(root / listing, key)
        if self.check_frames:
            check_frame_files(
                root / 'frames', [f'{frame}.jpg' for frame in frames], listing=listing
            )
        instances = self._load_persons(root / 'annotations', frames)
        items: list[dict] = [
            {
                'img_path': os.path.join(self.data_prefix['img_path'], f'{frame}.jpg'),
                'img_id': img_id,
                'img_name': f'{frame}.jpg',
                'camera_id': camera_of(frame),
                'sequence_id': -1,
                'instances': persons,
            }
            for img_id, (frame, persons) in enumerate(zip(frames, instances, strict=True))
        ]
        queries: list[dict] = []
        if self.split != 'train':
            queries = self._load_queries(root / 'query_info.txt', frames, listing)
        persons = [person for item in items for person in item['instances']]
        self._metainfo['person_ids'] = relabel([*queries, *persons], unknown=UNKNOWN_ID)
        return split_items(self.split, items, queries)

    def _load_persons(self, folder: Path, frames: list[str]) -> list[list[dict]]:
        """The instances of each frame (``pid`` still original)."""
        rows = load_person_rows(folder, frames)
        boxes = annotation_boxes(np.concatenate(rows)[:, 1:], truncate=self.truncate_boxes)
        without_area = []
        instances: list[list[dict]] = []
        ends = np.cumsum([len(frame_rows) for frame_rows in rows])
        per_frame = zip(frames, rows, np.split(boxes, ends[:-1]), strict=True)
        for frame, frame_rows, frame_boxes in per_frame:
            persons = []
            per_row = zip(frame_rows.tolist(), frame_boxes.tolist(), strict=True)
            for number, (row, box) in enumerate(per_row, start=1):
                if has_area(box):
                    persons.append(person_instance(box, int(row[0])))
                else:
                    without_area.append(f'{frame}.jpg.mat row {number} (id, x, y, w, h = {row})')
            instances.append(persons)
        if without_area:
            message = f'{folder}: {len(without_area)} boxes without area'
            if self.split != 'train':
                raise ValueError(
                    f'{message}, which no detection can match: {examples(without_area)}'
                )
            print_log(
                f'{message} are dropped: {examples(without_area)}',
                logger='current',
                level=logging.WARNING,
            )
        return instances

    def _load_queries(self, path: Path, frames: list[str], listing: str) -> list[dict]:
        """Queries with ``bbox``, ``pid`` (still original), ``query_id`` and ``img_id``."""
        img_ids = {frame: img_id for img_id, frame in enumerate(frames)}
        lines = read_queries(path)
        boxes = query_boxes(np.array([query.xywh for query in lines]), truncate=self.truncate_boxes)
        queries = []
        for query_id, (query, box) in enumerate(zip(lines, boxes.tolist(), strict=True)):
            if query.frame not in img_ids:
                raise ValueError(
                    f'{path}:{query.line}: the frame {query.frame} of query {query.person_id} is '
                    f'not in the gallery: {listing} does not list it'
                )
            if not has_area(box):
                raise ValueError(
                    f'{path}:{query.line}: the box of query {query.person_id} on {query.frame} '
                    f'has no area (x, y, w, h = {query.xywh})'
                )
            queries.append(
                {
                    'bbox': box,
                    'pid': query.person_id,
                    'query_id': query_id,
                    'img_id': img_ids[query.frame],
                }
            )
        return queries
