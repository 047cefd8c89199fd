"""PRW: persons re-identified in the wild (Zheng et al., CVPR 2017), in its own folder layout."""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.datasets import BaseDetDataset
from mmengine.logging import print_log
from PIL import Image

from mmps.registry import DATASETS

from .prw_cache import examples, load_person_rows
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
class PRWDataset(BaseDetDataset):
    """PRW as published, one of its three splits.

    ``train`` and ``gallery`` have one item a frame, in the listing's order: ``img_path``,
    ``img_id`` (place in the listing), ``img_name``, ``camera_id`` (1 to 6) and ``instances``, each
    with ``bbox`` (x1, y1, x2, y2 in pixels of the frame), ``bbox_label`` 0, ``ignore_flag`` 0 and
    ``pid``. Frames of ``gallery`` also have ``queries``: those of ``query_info.txt`` that lie on
    them, each with ``bbox``, ``pid`` and ``query_id`` (place among the queries, from 0). ``query``
    has one item a query, with its box as the only instance, and ``query_id``.

    Pids are 0..L-1 in the order of the original identities, -1 for persons without one;
    ``metainfo['person_ids'][pid]`` is the original identity. ``gallery`` and ``query`` number the
    identities of both, so their pids agree.

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
        **kwargs: of :class:`mmdet.datasets.BaseDetDataset`. ``filter_cfg`` may hold
            ``filter_empty_gt`` (drop frames without boxes) and ``min_size`` (drop frames whose
            shorter side is less, in pixels); as in MMDet it has no effect in ``test_mode``.

    Raises:
        FileNotFoundError: the folder, a file of the layout, or frames' files are not there.
        ValueError: a file is damaged, an entry makes no sense, a query's frame is not in the
            gallery, or a box of ``gallery`` or of a query has no area (in ``train`` such boxes
            are dropped with one warning that counts them). Each names file and entry.
    """

    METAINFO = {'classes': ('person',), 'palette': [(220, 20, 60)]}

    def __init__(
        self,
        data_root: str,
        split: str,
        *,
        truncate_boxes: bool = True,
        check_frames: bool = True,
        **kwargs: Any,
    ) -> None:
        if split not in _LISTINGS:
            raise ValueError(f'split must be one of {", ".join(_LISTINGS)}, not {split!r}')
        unknown = set(kwargs.get('filter_cfg') or {}) - {'filter_empty_gt', 'min_size'}
        if unknown:
            raise ValueError(
                f'filter_cfg may hold filter_empty_gt and min_size, not {sorted(unknown)}'
            )
        self.split = split
        self.truncate_boxes = truncate_boxes
        self.check_frames = check_frames
        super().__init__(data_root=data_root, data_prefix={'img_path': 'frames'}, **kwargs)

    @property
    def num_persons(self) -> int:
        """Number L of identities: valid pids are 0..L-1."""
        self.full_init()
        return len(self._metainfo['person_ids'])

    def load_data_list(self) -> list[dict]:
        """Items of the split, as the class describes them."""
        root = Path(self.data_root)
        listing, key = _LISTINGS[self.split]
        self._check_layout(root, listing)
        frames = read_frame_list(root / listing, key)
        if self.check_frames:
            self._check_frames(root / 'frames', frames, listing)

        person_ids, instances = self._load_persons(root / 'annotations', frames)
        items: list[dict] = [
            {
                'img_path': os.path.join(self.data_prefix['img_path'], f'{frame}.jpg'),
                'img_id': img_id,
                'img_name': f'{frame}.jpg',
                'camera_id': camera_of(frame),
                'instances': persons,
            }
            for img_id, (frame, persons) in enumerate(zip(frames, instances, strict=True))
        ]
        queries: list[dict] = []
        if self.split != 'train':
            queries = self._load_queries(root / 'query_info.txt', frames, listing)
            person_ids = person_ids | {query['pid'] for query in queries}

        self._metainfo['person_ids'] = sorted(person_ids)
        pids = {person_id: pid for pid, person_id in enumerate(self._metainfo['person_ids'])}
        pids[UNKNOWN_ID] = -1
        for entry in (*queries, *(person for item in items for person in item['instances'])):
            entry['pid'] = pids[entry['pid']]

        if self.split == 'gallery':
            for item in items:
                item['queries'] = []
            for query in queries:
                items[query.pop('img_id')]['queries'].append(query)
        elif self.split == 'query':
            items = [
                {
                    **items[query['img_id']],
                    'query_id': query['query_id'],
                    'instances': [_instance(query['bbox'], query['pid'])],
                }
                for query in queries
            ]
        return items

    def filter_data(self) -> list[dict]:
        """Items that ``filter_cfg`` leaves; all of them in ``test_mode``."""
        if self.test_mode or not self.filter_cfg:
            return self.data_list
        items = self.data_list
        if self.filter_cfg.get('filter_empty_gt', False):
            items = [item for item in items if item['instances']]
        min_size = self.filter_cfg.get('min_size', 0)
        if min_size > 0:
            for item in items:
                # Reads the header alone: PRW's annotations do not say how large a frame is.
                with Image.open(item['img_path']) as image:
                    item['width'], item['height'] = image.size
            items = [item for item in items if min(item['width'], item['height']) >= min_size]
        return items

    def _check_layout(self, root: Path, listing: str) -> None:
        needed = ['annotations', listing]
        if self.split != 'train':
            needed.append('query_info.txt')
        if self.check_frames:
            needed.append('frames')
        if not root.is_dir():
            raise FileNotFoundError(f'data_root={self.data_root!r} is not a folder. {LAYOUT}')
        missing = [name for name in needed if not (root / name).exists()]
        if missing:
            hint = ''
            if missing == ['frames']:
                hint = 'To use the annotations alone, set check_frames=False. '
            raise FileNotFoundError(
                f'data_root={self.data_root!r} has no {", ".join(missing)}. {hint}{LAYOUT}'
            )

    @staticmethod
    def _check_frames(folder: Path, frames: list[str], listing: str) -> None:
        wanted = {f'{frame}.jpg' for frame in frames}
        with os.scandir(folder) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries if entry.name in wanted}
        missing = [f'{frame}.jpg' for frame in frames if f'{frame}.jpg' not in sizes]
        if missing:
            raise FileNotFoundError(
                f'{folder}: {len(missing)} of {len(frames)} frames that {listing} lists are '
                f'missing: {examples(missing)}'
            )
        # What an interrupted copy leaves. OpenCV would fail on it without naming the file.
        empty = [f'{frame}.jpg' for frame in frames if sizes[f'{frame}.jpg'] == 0]
        if empty:
            raise ValueError(
                f'{folder}: {len(empty)} of {len(frames)} frames are empty: {examples(empty)}'
            )

    def _load_persons(self, folder: Path, frames: list[str]) -> tuple[set[int], list[list[dict]]]:
        """Identities that occur, and the instances of each frame (``pid`` still original)."""
        rows = load_person_rows(folder, frames)
        boxes = annotation_boxes(np.concatenate(rows)[:, 1:], truncate=self.truncate_boxes)
        person_ids: set[int] = set()
        without_area = []
        instances: list[list[dict]] = []
        ends = np.cumsum([len(frame_rows) for frame_rows in rows])
        per_frame = zip(frames, rows, np.split(boxes, ends[:-1]), strict=True)
        for frame, frame_rows, frame_boxes in per_frame:
            persons = []
            per_row = zip(frame_rows.tolist(), frame_boxes.tolist(), strict=True)
            for number, (row, box) in enumerate(per_row, start=1):
                if not _has_area(box):
                    without_area.append(f'{frame}.jpg.mat row {number} (id, x, y, w, h = {row})')
                    continue
                person_id = int(row[0])
                if person_id != UNKNOWN_ID:
                    person_ids.add(person_id)
                persons.append(_instance(box, person_id))
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
        return person_ids, instances

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
            if not _has_area(box):
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


def _has_area(box: list[float]) -> bool:
    return box[2] > box[0] and box[3] > box[1]


def _instance(box: list[float], pid: int) -> dict:
    return {'bbox': box, 'bbox_label': 0, 'ignore_flag': 0, 'pid': pid}
