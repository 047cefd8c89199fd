"""What the datasets of person search share: three splits, identities, queries, checks of files."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mmdet.datasets import BaseDetDataset
from PIL import Image

from .messages import examples

SPLITS = ('train', 'gallery', 'query')

_REMEDY = (
    'Restore them, or set check_frames=False of the dataset: training then takes other frames in '
    'their place, up to max_share of mmps.UnreadableImagesHook; testing ends at the first of them.'
)


class PersonSearchDataset(BaseDetDataset):
    """Base of the datasets of person search, one of three splits.

    ``train`` and ``gallery`` have one item a frame, in the listing's order: ``img_path``,
    ``img_id`` (place in the listing), ``img_name``, ``camera_id`` and ``sequence_id`` (-1 where
    unknown) and ``instances``, each with ``bbox`` (x1, y1, x2, y2 in pixels of the frame),
    ``bbox_label`` 0, ``ignore_flag`` 0 and ``pid``. Frames of ``gallery`` also have ``queries``:
    those that lie on them, each with ``bbox``, ``pid`` and ``query_id`` (place among the queries,
    from 0). ``query`` has one item a query, with its box as the only instance, and ``query_id``.

    Pids are 0..L-1, -1 for persons without identity; ``metainfo['person_ids'][pid]`` is what the
    dataset itself calls the identity. A subclass sets that list in ``load_data_list``, which gives
    the items (:func:`relabel` and :func:`split_items` help).

    Args:
        split: 'train', 'gallery' or 'query'.
        check_frames: whether every listed frame must be there, and not empty, at the start.
        **kwargs: of :class:`mmdet.datasets.BaseDetDataset`. ``filter_cfg`` may hold
            ``filter_empty_gt`` (drop frames without boxes) and ``min_size`` (drop frames whose
            shorter side is less, in pixels); as in MMDet it has no effect in ``test_mode``.

    Raises:
        ValueError: ``split`` or ``filter_cfg`` is something else.
    """

    METAINFO = {'classes': ('person',), 'palette': [(220, 20, 60)]}

    def __init__(self, *, split: str, check_frames: bool = True, **kwargs: Any) -> None:
        if split not in SPLITS:
            raise ValueError(f'split must be one of {", ".join(SPLITS)}, not {split!r}')
        unknown = set(kwargs.get('filter_cfg') or {}) - {'filter_empty_gt', 'min_size'}
        if unknown:
            raise ValueError(
                f'filter_cfg may hold filter_empty_gt and min_size, not {sorted(unknown)}'
            )
        self.split = split
        self.check_frames = check_frames
        super().__init__(**kwargs)

    @property
    def num_persons(self) -> int:
        """Number L of identities: valid pids are 0..L-1."""
        self.full_init()
        return len(self._metainfo['person_ids'])

    def filter_data(self) -> list[dict]:
        """Items that ``filter_cfg`` leaves; all of them in ``test_mode``.

        Raises:
            ValueError: there are none.
        """
        wanted = {} if self.test_mode else self.filter_cfg or {}
        items = self.data_list
        if wanted.get('filter_empty_gt', False):
            items = [item for item in items if item['instances']]
        min_size = wanted.get('min_size', 0)
        if min_size > 0:
            for item in items:
                if 'width' in item:
                    continue
                # Reads the header alone: not every dataset says how large a frame is.
                with Image.open(item['img_path']) as image:
                    item['width'], item['height'] = image.size
            items = [item for item in items if min(item['width'], item['height']) >= min_size]
        if not items:
            raise ValueError(
                f'data_root={self.data_root!r}: of {len(self.data_list)} items of the split '
                f'{self.split!r} none is left after filter_cfg={wanted}'
            )
        return items


def check_layout(data_root: str, needed: Sequence[str], *, frames: str | None, layout: str) -> None:
    """Refuse a folder that is not the dataset's.

    Args:
        data_root: the folder.
        needed: files and folders that must be in it.
        frames: the folder of frames, needed too; None if annotations are used alone.
        layout: where the data come from and how the folder must look, for the message.

    Raises:
        FileNotFoundError: the folder or something in it is not there.
    """
    root = Path(data_root)
    if not root.is_dir():
        raise FileNotFoundError(f'data_root={data_root!r} is not a folder. {layout}')
    wanted = [*needed] if frames is None else [*needed, frames]
    missing = [name for name in wanted if not (root / name).exists()]
    if missing:
        hint = ''
        if missing == [frames]:
            hint = 'To use the annotations alone, set check_frames=False. '
        raise FileNotFoundError(
            f'data_root={data_root!r} has no {", ".join(missing)}. {hint}{layout}'
        )


def check_frame_files(folder: Path, names: Sequence[str], *, listing: str) -> None:
    """Refuse frames that are missing or empty, all of them in one error.

    Args:
        folder: where the frames are.
        names: their files, relative to ``folder``.
        listing: the file that names them, for the message.

    Raises:
        FileNotFoundError: frames are not there.
        ValueError: frames are empty. Both name the first ones, count the rest and say what to do.
    """
    wanted = set(names)
    sizes = {}
    for parent in {os.path.dirname(name) for name in names}:
        if not (folder / parent).is_dir():
            continue
        with os.scandir(folder / parent) as entries:
            for entry in entries:
                name = os.path.join(parent, entry.name)
                if name in wanted:
                    sizes[name] = entry.stat().st_size
    missing = [name for name in names if name not in sizes]
    if missing:
        raise FileNotFoundError(
            f'{folder}: {len(missing)} of {len(names)} frames that {listing} lists are '
            f'missing: {examples(missing)}. {_REMEDY}'
        )
    # What an interrupted copy leaves. OpenCV would fail on it without naming the file.
    empty = [name for name in names if sizes[name] == 0]
    if empty:
        raise ValueError(
            f'{folder}: {len(empty)} of {len(names)} frames are empty: {examples(empty)}. {_REMEDY}'
        )


def has_area(box: Sequence[float]) -> bool:
    """Whether a box x1, y1, x2, y2 is wider and higher than nothing."""
    return box[2] > box[0] and box[3] > box[1]


def person_instance(box: list[float], pid: Any) -> dict:
    """An entry of an item's ``instances``."""
    return {'bbox': box, 'bbox_label': 0, 'ignore_flag': 0, 'pid': pid}


def relabel(entries: Sequence[dict], *, unknown: Any) -> list:
    """Replace the ``pid`` of every entry, so far the dataset's own, by its place among all.

    Args:
        entries: instances and queries, changed in place.
        unknown: what the dataset calls a person without identity; becomes -1.

    Returns:
        The dataset's own identities, ascending.
    """
    person_ids = sorted({entry['pid'] for entry in entries} - {unknown})
    pids = {person_id: pid for pid, person_id in enumerate(person_ids)}
    pids[unknown] = -1
    for entry in entries:
        entry['pid'] = pids[entry['pid']]
    return person_ids


def split_items(split: str, items: list[dict], queries: Iterable[dict]) -> list[dict]:
    """The items of a split, from its frames and the queries that lie on them.

    Args:
        split: one of ``SPLITS``.
        items: one a frame, the item of ``img_id`` i in place i.
        queries: each with ``bbox``, ``pid``, ``query_id`` and ``img_id``; not used for 'train'.
    """
    if split == 'train':
        return items
    if split == 'gallery':
        for item in items:
            item['queries'] = []
        for query in queries:
            carried = {key: query[key] for key in ('bbox', 'pid', 'query_id')}
            items[query['img_id']]['queries'].append(carried)
        return items
    return [
        {
            **items[query['img_id']],
            'query_id': query['query_id'],
            'instances': [person_instance(query['bbox'], query['pid'])],
        }
        for query in queries
    ]
