"""CUHK-SYSU (Xiao et al., CVPR 2017), in its own folder layout."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmps.registry import DATASETS

from .cuhk_sysu_files import (
    FRAMES,
    IMAGES_FILE,
    LAYOUT,
    POOL_FILE,
    TRAIN_FILE,
    read_identities,
    read_images,
    read_pool,
)
from .cuhk_sysu_search import SearchFile, load_search_file, search_file
from .cuhk_sysu_structs import corner_boxes
from .messages import examples
from .person_search_dataset import (
    PersonSearchDataset,
    check_frame_files,
    check_layout,
    has_area,
    person_instance,
    split_items,
)

# The persons of a split by image and x, y, w, h; of equal boxes the first.
_Places = dict[tuple[str, int, int, int, int], dict]


@DATASETS.register_module()
class CUHKSYSUDataset(PersonSearchDataset):
    """CUHK-SYSU as published, one of its three splits.

    Items are those of :class:`PersonSearchDataset`: of ``train`` the images that ``pool.mat`` does
    not list, sorted by name; else those that it lists. Cameras are unknown: ``camera_id`` is -1.

    In ``train`` a pid is the person's place in ``Train.mat``, in ``gallery`` and ``query`` the
    place of the person's query in the test file, so there ``pid`` and ``query_id`` of a query are
    the same; ``metainfo['person_ids']`` are the ``idname`` of the files. Test files of all gallery
    sizes have the same queries. Their galleries are no part of the items: see
    :func:`mmps.evaluation.protocols.cuhk_sysu_protocol`.

    Boxes are those of SeqNet's loader: x, y, w, h cut to whole numbers and added, not clipped.
    Boxes without area are dropped with one warning that counts them. A person of ``Train.mat`` or
    of the test file whose box is not among those of their image stays without identity there,
    with one warning likewise.

    Args:
        data_root: the unpacked folder, with ``Image`` and ``annotation``.
        split: 'train', 'gallery' or 'query'.
        subset: queries and identities of 'Occlusion' or 'Resolution' in place of the 2,900 that
            all gallery sizes share; not for 'train'.
        check_frames: whether every image of the split must be in ``Image/SSM``, and not empty, at
            the start. Without the check, annotations can be used alone; a missing image fails
            when it is loaded.
        **kwargs: of :class:`mmdet.datasets.BaseDetDataset`; for ``filter_cfg`` see
            :class:`PersonSearchDataset`.

    Raises:
        FileNotFoundError: the folder, a file of the layout, or images' files are not there.
        ValueError: a file is damaged, an entry makes no sense or names an unknown image, a test
            file lists an image that is not for testing, or the box of a query or of its target
            has no area. Each names file and entry.
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        *,
        subset: str | None = None,
        check_frames: bool = True,
        **kwargs: Any,
    ) -> None:
        if subset is not None and split == 'train':
            raise ValueError(f"subset={subset!r} is for the splits 'gallery' and 'query' only")
        # All gallery sizes have the same queries and targets: the smallest is the fastest to read.
        gallery_size = 50 if subset is None else 100
        self._search_file, self._search_key = search_file(gallery_size=gallery_size, subset=subset)
        super().__init__(
            split=split,
            check_frames=check_frames,
            data_root=data_root,
            data_prefix={'img_path': FRAMES},
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Items of the split, as the class describes them."""
        root = Path(self.data_root)
        labels_file = TRAIN_FILE if self.split == 'train' else self._search_file
        check_layout(
            self.data_root,
            [IMAGES_FILE, POOL_FILE, labels_file],
            frames=FRAMES if self.check_frames else None,
            layout=LAYOUT,
        )
        boxes = read_images(root / IMAGES_FILE)
        names = self._image_names(root, boxes)
        if self.check_frames:
            listing = IMAGES_FILE if self.split == 'train' else POOL_FILE
            check_frame_files(root / FRAMES, names, listing=listing)
        items, places = self._load_persons(root / IMAGES_FILE, names, boxes)
        if self.split == 'train':
            self._label_train(root / TRAIN_FILE, places, set(boxes))
            return split_items(self.split, items, [])
        queries = self._label_test(root / labels_file, places, names)
        return split_items(self.split, items, queries)

    def _image_names(self, root: Path, boxes: dict[str, np.ndarray]) -> list[str]:
        """Names of the images of the split, in the order of its items."""
        pool = read_pool(root / POOL_FILE)
        unknown = [name for name in pool if name not in boxes]
        if unknown:
            raise ValueError(
                f"{root / POOL_FILE}: 'pool' lists {len(unknown)} images that are not in "
                f'{IMAGES_FILE}: {examples(unknown)}'
            )
        return pool if self.split != 'train' else sorted(set(boxes) - set(pool))

    def _load_persons(
        self, path: Path, names: list[str], boxes: dict[str, np.ndarray]
    ) -> tuple[list[dict], _Places]:
        """Items with all their persons, so far without identity, and where each person stands."""
        items: list[dict] = []
        places: _Places = {}
        without_area = []
        for img_id, name in enumerate(names):
            rows = boxes[name]
            instances = []
            for number, (xywh, box) in enumerate(
                zip(rows.tolist(), corner_boxes(rows).tolist(), strict=True), 1
            ):
                if not has_area(box):
                    without_area.append(f'{name} person {number} (x, y, w, h = {xywh})')
                    continue
                instances.append(person_instance(box, -1))
                places.setdefault((name, *xywh), instances[-1])
            items.append(
                {
                    'img_path': os.path.join(self.data_prefix['img_path'], name),
                    'img_id': img_id,
                    'img_name': name,
                    'camera_id': -1,
                    'sequence_id': -1,
                    'instances': instances,
                }
            )
        if without_area:
            _warn(
                f'{path}: {len(without_area)} boxes without area are dropped: '
                f'{examples(without_area)}'
            )
        return items, places

    def _label_train(self, path: Path, places: _Places, known: set[str]) -> None:
        identities = read_identities(path)
        self._metainfo['person_ids'] = [identity.name for identity in identities]
        appearances = []
        for pid, identity in enumerate(identities):
            for image, xywh in zip(identity.images, identity.xywh.tolist(), strict=True):
                if image not in known:
                    raise ValueError(
                        f"{path}: entry {pid + 1} of 'Train' ({identity.name}) appears on "
                        f'{image}, which is not in {IMAGES_FILE}'
                    )
                appearances.append((image, xywh, pid))
        _set_pids(places, appearances, f"{path}: appearances in 'Train'")

    def _label_test(self, path: Path, places: _Places, names: list[str]) -> list[dict]:
        """The queries, with ``bbox``, ``pid``, ``query_id`` and ``img_id``."""
        tests = load_search_file(path, self._search_key)
        img_ids = {name: img_id for img_id, name in enumerate(names)}
        self._check_images(path, tests, img_ids)
        self._metainfo['person_ids'] = tests.query_names.tolist()

        # The order matters where two queries claim one box: as in SeqNet's loader the later has it.
        appearances = []
        query_xywh, target_xywh = tests.query_xywh.tolist(), tests.target_xywh.tolist()
        target_images = tests.images[tests.target_image].tolist()
        query_images = tests.images[tests.query_image].tolist()
        indptr = tests.target_indptr.tolist()
        for pid, image in enumerate(query_images):
            appearances.append((image, query_xywh[pid], pid))
            for target in range(indptr[pid], indptr[pid + 1]):
                appearances.append((target_images[target], target_xywh[target], pid))
        _set_pids(places, appearances, f'{path}: boxes of queries and targets')

        query_boxes = corner_boxes(tests.query_xywh).tolist()
        return [
            {'bbox': box, 'pid': query_id, 'query_id': query_id, 'img_id': img_ids[image]}
            for query_id, (image, box) in enumerate(zip(query_images, query_boxes, strict=True))
        ]

    def _check_images(self, path: Path, tests: SearchFile, img_ids: dict[str, int]) -> None:
        for number, image in enumerate(tests.images[tests.query_image].tolist(), 1):
            if image not in img_ids:
                raise ValueError(
                    f'{path}: query {number} of {self._search_key!r} is on {image}, which '
                    f'{POOL_FILE} does not list: it is not in the gallery'
                )
        unknown = [image for image in tests.images.tolist() if image not in img_ids]
        if unknown:
            raise ValueError(
                f'{path}: galleries of {self._search_key!r} have {len(unknown)} images that '
                f'{POOL_FILE} does not list: {examples(unknown)}'
            )


def _set_pids(
    places: _Places, appearances: Iterable[tuple[str, list[int], int]], what: str
) -> None:
    """Give the person at each (image, x y w h) the pid; warn of those where there is nobody."""
    unmatched = []
    for image, xywh, pid in appearances:
        x, y, w, h = xywh
        person = places.get((image, x, y, w, h))
        if person is None:
            unmatched.append(f'{image} (x, y, w, h = {xywh})')
        else:
            person['pid'] = pid
    if unmatched:
        _warn(
            f'{what}: {len(unmatched)} are not among the persons of the split in {IMAGES_FILE}: '
            f'{examples(unmatched)}'
        )


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)
