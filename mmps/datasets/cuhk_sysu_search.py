"""Readers of the test files of CUHK-SYSU, as published.

``TestG50.mat`` ... ``TestG4000.mat`` in ``annotation/test/train_test`` and the files in
``annotation/test/subset`` have a struct for each query: ``Query``, one struct with ``imname``,
``idlocate`` and ``idname``, and ``Gallery``, a struct with ``imname`` and ``idlocate`` for each
image, the latter empty where the person is not in it.

Shapes: Q queries, I images, L entries of all galleries, T targets: boxes of a query's person in
its gallery.
"""

from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from .array_cache import cached
from .cuhk_sysu_structs import box_with_area, name_of, names_of, single_struct, struct_array
from .mat_chunks import read_struct_chunks
from .messages import progress

GALLERY_SIZES = (50, 100, 500, 1000, 2000, 4000)
FULL_SET = -1
SUBSETS = {'Occlusion': 'Occlusion1', 'Resolution': 'Test_Size'}
"""Files with special queries and galleries of 100 images, and the variable in each."""


@dataclass(frozen=True)
class SearchFile:
    """A test file: queries, and the gallery of each.

    Args:
        images: names of all images that occur, (I,), all different.
        query_names: the identity of each query, (Q,).
        query_image: index into ``images``, (Q,) int32.
        query_xywh: x, y, w, h, (Q, 4) int32.
        gallery_indptr: the gallery of query q is
            ``gallery_image[gallery_indptr[q]:gallery_indptr[q + 1]]``, (Q + 1,) int64.
        gallery_image: indices into ``images``, in the order of the file, without repetition
            within a query, (L,) int32.
        target_indptr: the targets of query q are those from ``target_indptr[q]`` to
            ``target_indptr[q + 1]``, (Q + 1,) int64.
        target_image: index into ``images`` of each target, (T,) int32.
        target_xywh: where the person is, (T, 4) int32.
        num_to_find: how often a gallery lists the person, (Q,) int64. An image that is listed
            again, as four galleries of the published files do, counts again here.
    """

    images: np.ndarray
    query_names: np.ndarray
    query_image: np.ndarray
    query_xywh: np.ndarray
    gallery_indptr: np.ndarray
    gallery_image: np.ndarray
    target_indptr: np.ndarray
    target_image: np.ndarray
    target_xywh: np.ndarray
    num_to_find: np.ndarray


def search_file(*, gallery_size: int, subset: str | None = None) -> tuple[str, str]:
    """The test file for a size of galleries or a subset, below the data's root, and its variable.

    The full set (-1) has no file: its targets are those of the smallest galleries.

    Raises:
        ValueError: there is no such size or subset.
    """
    if subset is not None:
        if subset not in SUBSETS:
            raise ValueError(f'subset must be one of {", ".join(SUBSETS)} or None, not {subset!r}')
        if gallery_size != 100:
            raise ValueError(
                f'the galleries of the subset {subset} have 100 images: gallery_size must be 100, '
                f'not {gallery_size}'
            )
        return f'annotation/test/subset/{subset}.mat', SUBSETS[subset]
    if gallery_size not in (*GALLERY_SIZES, FULL_SET):
        raise ValueError(
            f'gallery_size must be one of {", ".join(map(str, GALLERY_SIZES))} or {FULL_SET}, '
            f'not {gallery_size}'
        )
    if gallery_size == FULL_SET:
        gallery_size = min(GALLERY_SIZES)
    return f'annotation/test/train_test/TestG{gallery_size}.mat', f'TestG{gallery_size}'


def load_search_file(path: Path, key: str) -> SearchFile:
    """What :func:`read_search_file` gives, kept parsed between runs.

    A gallery of 4,000 images for each of 2,900 queries takes a minute to parse.
    """
    return cached(
        f'cuhk-sysu-{key}-v1',
        [(str(path.resolve()), path.stat())],
        read=lambda: read_search_file(path, key),
        to_arrays=vars,
        from_arrays=_from_arrays,
    )


def read_search_file(path: Path, key: str) -> SearchFile:
    """Queries and galleries of a test file.

    Args:
        path: the file.
        key: its variable, see :func:`search_file`.

    Raises:
        ValueError: the file is unreadable, an entry makes no sense, or the box of a query or a
            target has no area; the message names file and entry.
    """
    indices: dict[str, int] = {}
    query_names, query_images, query_xywh = [], [], []
    galleries: list[list[int]] = []
    targets: list[dict[tuple[int, ...], None]] = []  # image, x, y, w, h; keeps their order
    num_to_find = []
    entries = progress(_entries(path, key), what=f'Reading {path}', unit='query')
    for number, entry in enumerate(entries, 1):
        where = f'{path}: query {number} of {key!r}'
        query = single_struct(entry['Query'], ('imname', 'idlocate', 'idname'), f'{where}: Query')
        image = name_of(query['imname'], 'imname', where)
        query_names.append(name_of(query['idname'], 'idname', where))
        query_images.append(indices.setdefault(image, len(indices)))
        query_xywh.append(box_with_area(query['idlocate'], f'{where} ({image})'))

        gallery = struct_array(entry['Gallery'], ('imname', 'idlocate'), f'{where}: Gallery')
        names = names_of(gallery['imname'], 'imname', f'{where}, gallery entry')
        if not names:
            raise ValueError(f'{where}: its gallery is empty')
        places = [indices.setdefault(name, len(indices)) for name in names]
        galleries.append(list(dict.fromkeys(places)))
        shown = [place for place, box in enumerate(gallery['idlocate']) if box.size]
        num_to_find.append(len(shown))
        targets.append({})
        for place in shown:
            named = f'{where}, gallery entry {place + 1} ({names[place]})'
            box = box_with_area(gallery['idlocate'][place], named)
            targets[-1][(places[place], *box.tolist())] = None
    if not galleries:
        raise ValueError(f'{path}: {key!r} lists no queries')
    rows = np.array([row for boxes in targets for row in boxes], np.int32).reshape(-1, 5)
    return SearchFile(
        images=np.array(list(indices)),
        query_names=np.array(query_names),
        query_image=np.array(query_images, np.int32),
        query_xywh=np.stack(query_xywh),
        gallery_indptr=_indptr(galleries),
        gallery_image=np.concatenate([np.array(gallery, np.int32) for gallery in galleries]),
        target_indptr=_indptr(targets),
        target_image=rows[:, 0],
        target_xywh=rows[:, 1:],
        num_to_find=np.array(num_to_find, np.int64),
    )


def _entries(path: Path, key: str) -> Iterator[np.void]:
    for chunk in read_struct_chunks(path, key, size=10):
        yield from struct_array(chunk, ('Query', 'Gallery'), f'{path}: {key!r}')


def _indptr(parts: Sequence[Sized]) -> np.ndarray:
    return np.cumsum([0, *map(len, parts)], dtype=np.int64)


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> SearchFile:
    return SearchFile(**{field.name: arrays[field.name] for field in fields(SearchFile)})
