"""Readers of the files of which CUHK-SYSU consists, as published.

``annotation/Images.mat`` has a struct for each image: ``imname`` and ``box``, a struct with
``idlocate`` (x, y, w, h in pixels) for each person. ``annotation/pool.mat`` names the test images.
``annotation/test/train_test/Train.mat`` has a cell for each identity: ``idname`` and ``scene``, a
struct with ``imname`` and ``idlocate`` for each appearance. ``TestG50.mat`` ... ``TestG4000.mat``
beside it and ``annotation/test/subset/*.mat`` have a struct for each query: ``Query``, one struct
with ``imname``, ``idlocate`` and ``idname``, and ``Gallery``, a struct with ``imname`` and
``idlocate`` for each image, the latter empty where the person is not in it.

Boxes are whole numbers; where they are not, fractions are cut off, as SeqNet's loader does.

Shapes: N persons, Q queries, I images, L entries of all galleries, T targets: boxes of a query's
person in its gallery.
"""

from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from mmengine.dist import is_main_process
from tqdm import tqdm

from .array_cache import cached
from .mat_chunks import read_struct_chunks
from .mat_files import read_variable

LAYOUT = """CUHK-SYSU is given out by its authors, see \
http://www.ee.cuhk.edu.hk/~xgwang/PS/dataset.html; unpacked, the folder must look so:
  Image/SSM/s1.jpg ...                             the images
  annotation/Images.mat                            their persons
  annotation/pool.mat                              which images are for testing
  annotation/test/train_test/Train.mat             the identities of the training images
  annotation/test/train_test/TestG50.mat ...       queries, each with a gallery of 50 images, ...
  annotation/test/subset/Occlusion.mat ...         special queries (not always needed)"""

SILENT_SECONDS = 2.0
"""Reading that takes no longer shows no progress bar."""

IMAGES_FILE = 'annotation/Images.mat'
POOL_FILE = 'annotation/pool.mat'
TRAIN_FILE = 'annotation/test/train_test/Train.mat'

GALLERY_SIZES = (50, 100, 500, 1000, 2000, 4000)
FULL_SET = -1
SUBSETS = {'Occlusion': 'Occlusion1', 'Resolution': 'Test_Size'}
"""Files with special queries and galleries of 100 images, and the variable in each."""


@dataclass(frozen=True)
class Identity:
    """A person of ``Train.mat``: the images that show them, and where: (N, 4) int32 x, y, w, h."""

    name: str
    images: list[str]
    xywh: np.ndarray


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


def corner_boxes(xywh: np.ndarray) -> np.ndarray:
    """Boxes x1, y1, x2, y2 of boxes x, y, w, h, as SeqNet's loader makes them: added, no more.

    Args:
        xywh: (N, 4) int32.

    Returns:
        (N, 4) float32.
    """
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1).astype(np.float32)


def read_images(path: Path) -> dict[str, np.ndarray]:
    """Persons of every image of ``Images.mat``, in its order: (N, 4) int32 x, y, w, h.

    N may be 0, and boxes may have no area.

    Raises:
        ValueError: the file is unreadable, or an entry makes no sense or occurs twice; the message
            names file and entry.
    """
    images: dict[str, np.ndarray] = {}
    entries = _structs(read_variable(path, 'Img'), ('imname', 'box'), f"{path}: 'Img'")
    for number, (name, box) in enumerate(zip(entries['imname'], entries['box'], strict=True), 1):
        where = f"{path}: entry {number} of 'Img'"
        name = _text(name, 'imname', where)
        if name in images:
            raise ValueError(f'{where}: the image {name} occurred before')
        where = f'{where} ({name}), person'
        images[name] = _boxes(_structs(box, ('idlocate',), where)['idlocate'], where)
    if not images:
        raise ValueError(f"{path}: 'Img' lists no images")
    return images


def read_pool(path: Path) -> list[str]:
    """Names of the test images, in the order of ``pool.mat``.

    Raises:
        ValueError: the file is unreadable, or an entry is no name or occurs twice; the message
            names file and entry.
    """
    entries = read_variable(path, 'pool').ravel()
    names = _texts(entries, 'it', f"{path}: 'pool', entry")
    if not names:
        raise ValueError(f"{path}: 'pool' lists no images")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path}: 'pool' lists the image {twice} twice")
    return names


def read_identities(path: Path) -> list[Identity]:
    """Identities of ``Train.mat``, in its order.

    Raises:
        ValueError: the file is unreadable, or an entry makes no sense; the message names file and
            entry.
    """
    identities = []
    for number, cell in enumerate(read_variable(path, 'Train').ravel(), 1):
        where = f"{path}: entry {number} of 'Train'"
        entry = _struct(cell, ('idname', 'scene'), where)
        scenes = _structs(entry['scene'], ('imname', 'idlocate'), f'{where}: scene')
        identities.append(
            Identity(
                name=_text(entry['idname'], 'idname', where),
                images=_texts(scenes['imname'], 'imname', f'{where}, scene'),
                xywh=_boxes(scenes['idlocate'], f'{where}, scene'),
            )
        )
    if not identities:
        raise ValueError(f"{path}: 'Train' lists no identities")
    return identities


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
    progress = tqdm(
        _entries(path, key),
        desc=f'Reading {path}',
        unit='query',
        delay=SILENT_SECONDS,
        disable=not is_main_process(),
    )
    for number, entry in enumerate(progress, 1):
        where = f'{path}: query {number} of {key!r}'
        query = _struct(entry['Query'], ('imname', 'idlocate', 'idname'), f'{where}: Query')
        image = _text(query['imname'], 'imname', where)
        query_names.append(_text(query['idname'], 'idname', where))
        query_images.append(indices.setdefault(image, len(indices)))
        query_xywh.append(_box_with_area(query['idlocate'], f'{where} ({image})'))

        gallery = _structs(entry['Gallery'], ('imname', 'idlocate'), f'{where}: Gallery')
        names = _texts(gallery['imname'], 'imname', f'{where}, gallery entry')
        if not names:
            raise ValueError(f'{where}: its gallery is empty')
        places = [indices.setdefault(name, len(indices)) for name in names]
        galleries.append(list(dict.fromkeys(places)))
        shown = [place for place, box in enumerate(gallery['idlocate']) if box.size]
        num_to_find.append(len(shown))
        targets.append({})
        for place in shown:
            named = f'{where}, gallery entry {place + 1} ({names[place]})'
            box = _box_with_area(gallery['idlocate'][place], named)
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
        yield from _structs(chunk, ('Query', 'Gallery'), f'{path}: {key!r}')


def _indptr(parts: Sequence[Sized]) -> np.ndarray:
    return np.cumsum([0, *map(len, parts)], dtype=np.int64)


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> SearchFile:
    return SearchFile(**{field.name: arrays[field.name] for field in fields(SearchFile)})


def _structs(value: object, names: Sequence[str], where: str) -> np.ndarray:
    """The structs of a struct array, flat; none if it is empty."""
    array = np.asarray(value)
    if array.dtype.names is None and array.size == 0:  # MATLAB writes [] for no structs
        return np.zeros(0, [(name, object) for name in names])
    if not set(names) <= set(array.dtype.names or ()):
        found = array.dtype.names or f'an array of type {array.dtype}'
        raise ValueError(f'{where}: wanted is a struct with {", ".join(names)}, not {found}')
    return array.ravel()


def _struct(value: object, names: Sequence[str], where: str) -> np.void:
    structs = _structs(value, names, where)
    if len(structs) != 1:
        wanted = f'one struct with {", ".join(names)}'
        raise ValueError(f'{where}: wanted is {wanted}, not {len(structs)}')
    return structs[0]


def _name(value: object) -> str | None:
    """The only string of a character array, None if it is no such array or blank."""
    text = value.item() if isinstance(value, np.ndarray) and value.size == 1 else None
    return text.strip() or None if isinstance(text, str) else None


def _text(value: object, what: str, where: str) -> str:
    name = _name(value)
    if name is None:
        raise ValueError(f'{where}: {what} is {np.asarray(value).tolist()}, not a name')
    return name


def _texts(values: np.ndarray, what: str, where: str) -> list[str]:
    return [
        _name(value) or _text(value, what, f'{where} {number}')
        for number, value in enumerate(values, 1)
    ]


def _box(value: object, where: str) -> np.ndarray:
    numbers = np.asarray(value).ravel()
    limit = np.iinfo(np.int32).max // 2  # x + w stays a 32-bit number
    if (
        numbers.shape != (4,)
        or numbers.dtype.kind not in 'iuf'
        or not (np.abs(numbers.astype(np.float64)) <= limit).all()  # not so for NaN either
    ):
        raise ValueError(
            f'{where}: idlocate is {numbers.tolist()}; wanted are four numbers x, y, w, h'
        )
    return numbers.astype(np.int32)


def _boxes(values: np.ndarray, where: str) -> np.ndarray:
    rows = [_box(value, f'{where} {number}') for number, value in enumerate(values, 1)]
    return np.array(rows, np.int32).reshape(-1, 4)


def _box_with_area(value: object, where: str) -> np.ndarray:
    box = _box(value, where)
    if (box[2:] <= 0).any():
        raise ValueError(f'{where}: the box has no area (x, y, w, h = {box.tolist()})')
    return box
