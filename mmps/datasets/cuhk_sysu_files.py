"""Readers of the annotations of CUHK-SYSU, as published.

``annotation/Images.mat`` has a struct for each image: ``imname`` and ``box``, a struct with
``idlocate`` for each person. ``annotation/pool.mat`` names the test images.
``annotation/test/train_test/Train.mat`` has a cell for each identity: ``idname`` and ``scene``, a
struct with ``imname`` and ``idlocate`` for each appearance. N is a number of persons.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .cuhk_sysu_structs import boxes_of, name_of, names_of, single_struct, struct_array
from .mat_files import read_variable

LAYOUT = """CUHK-SYSU is given out by its authors, see \
http://www.ee.cuhk.edu.hk/~xgwang/PS/dataset.html; unpacked, the folder must look so:
  Image/SSM/s1.jpg ...                             the images
  annotation/Images.mat                            their persons
  annotation/pool.mat                              which images are for testing
  annotation/test/train_test/Train.mat             the identities of the training images
  annotation/test/train_test/TestG50.mat ...       queries, each with a gallery of 50 images, ...
  annotation/test/subset/Occlusion.mat ...         special queries (not always needed)"""

FRAMES = 'Image/SSM'
IMAGES_FILE = 'annotation/Images.mat'
POOL_FILE = 'annotation/pool.mat'
TRAIN_FILE = 'annotation/test/train_test/Train.mat'


@dataclass(frozen=True)
class Identity:
    """A person of ``Train.mat``: the images that show them, and where: (N, 4) int32 x, y, w, h."""

    name: str
    images: list[str]
    xywh: np.ndarray


def read_images(path: Path) -> dict[str, np.ndarray]:
    """Persons of every image of ``Images.mat``, in its order: (N, 4) int32 x, y, w, h.

    N may be 0, and boxes may have no area.

    Raises:
        ValueError: the file is unreadable, or an entry makes no sense or occurs twice; the message
            names file and entry.
    """
    images: dict[str, np.ndarray] = {}
    entries = struct_array(read_variable(path, 'Img'), ('imname', 'box'), f"{path}: 'Img'")
    for number, (name, box) in enumerate(zip(entries['imname'], entries['box'], strict=True), 1):
        where = f"{path}: entry {number} of 'Img'"
        name = name_of(name, 'imname', where)
        if name in images:
            raise ValueError(f'{where}: the image {name} occurred before')
        where = f'{where} ({name}), person'
        images[name] = boxes_of(struct_array(box, ('idlocate',), where)['idlocate'], where)
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
    names = names_of(entries, 'it', f"{path}: 'pool', entry")
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
        entry = single_struct(cell, ('idname', 'scene'), where)
        scenes = struct_array(entry['scene'], ('imname', 'idlocate'), f'{where}: scene')
        identities.append(
            Identity(
                name=name_of(entry['idname'], 'idname', where),
                images=names_of(scenes['imname'], 'imname', f'{where}, scene'),
                xywh=boxes_of(scenes['idlocate'], f'{where}, scene'),
            )
        )
    if not identities:
        raise ValueError(f"{path}: 'Train' lists no identities")
    return identities
