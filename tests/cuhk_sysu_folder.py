"""Writes a tiny CUHK-SYSU, with the nested struct arrays of the real one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.io import savemat

# Persons of every image as x, y, w, h. The box of s2 without area and the equal boxes of s10 stand
# for what annotators left behind.
IMAGES = {
    's1.jpg': [[1, 2, 30, 40], [5, 5, 10, 12]],
    's2.jpg': [[10, 10, 20, 30], [7, 7, 0, 9], [3, 4, 8, 9]],
    's10.jpg': [[2, 2, 9, 9], [2, 2, 9, 9], [-3, 1, 10, 11]],
    's4.jpg': [[4, 4, 16, 30]],
    's3.jpg': [[0, 0, 10, 20], [20, 5, 10, 20]],
    's5.jpg': [[6, 6, 12, 24], [30, 6, 12, 24]],
    's6.jpg': [[8, 8, 12, 24]],
    's7.jpg': [[1, 1, 12, 24]],
}
POOL = ('s5.jpg', 's3.jpg', 's7.jpg', 's6.jpg')
# Identity, and where it appears.
TRAIN = (
    ('p8', [('s10.jpg', [2, 2, 9, 9]), ('s1.jpg', [5, 5, 10, 12])]),
    ('p3', [('s2.jpg', [3, 4, 8, 9]), ('s4.jpg', [4, 4, 16, 30])]),
)
# Identity, the query's image and box, and the gallery; without a box the person is not there.
QUERIES = (
    (
        'p20',
        's5.jpg',
        [6, 6, 12, 24],
        [('s7.jpg', [1, 1, 12, 24]), ('s3.jpg', [20, 5, 10, 20]), ('s6.jpg', None)],
    ),
    ('p11', 's3.jpg', [0, 0, 10, 20], [('s6.jpg', [8, 8, 12, 24]), ('s5.jpg', None)]),
)
# Galleries of 100 have the same queries and targets, and more images.
QUERIES_100 = (QUERIES[0], (*QUERIES[1][:3], [*QUERIES[1][3], ('s7.jpg', None)]))
# The second of the usual queries, and one that is none of them.
OCCLUSION = (('p11', 's3.jpg', [0, 0, 10, 20], [('s6.jpg', [8, 8, 12, 24]), ('s7.jpg', None)]),)
RESOLUTION = (('p20', 's7.jpg', [1, 1, 12, 24], [('s5.jpg', [6, 6, 12, 24]), ('s6.jpg', None)]),)

IMAGE_SIZE = (48, 64)
TRAIN_TEST = Path('annotation', 'test', 'train_test')
SUBSET = Path('annotation', 'test', 'subset')


def structs(**columns: Sequence[Any]) -> np.ndarray:
    """A 1 x N struct array, as MATLAB has them, from the values of each field."""
    size = len(next(iter(columns.values())))
    array = np.empty((1, size), [(name, object) for name in columns])
    for name, values in columns.items():
        for place, value in enumerate(values):
            array[name][0, place] = value
    return array


def location(box: Sequence[float] | None) -> np.ndarray:
    """Smallest type that holds it, as MATLAB saves it."""
    if box is None:
        return np.zeros((1, 0))
    row = np.array([box])
    fits = row.dtype.kind == 'i' and row.min() >= 0
    return row.astype(np.uint8 if row.max() < 256 else np.uint16) if fits else row


def images_mat(images: dict[str, list]) -> dict[str, np.ndarray]:
    boxes = [
        structs(idlocate=[location(box) for box in rows], ishard=[np.uint8([[0]])] * len(rows))
        for rows in images.values()
    ]
    counts = [len(rows) for rows in images.values()]
    return {'Img': structs(imname=list(images), nAppear=counts, box=boxes)}


def pool_mat(names: Sequence[str]) -> dict[str, np.ndarray]:
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    return {'pool': cells}


def scene(appearances: Sequence[tuple[str, Sequence[float] | None]]) -> np.ndarray:
    return structs(
        imname=[image for image, _ in appearances],
        idlocate=[location(box) for _, box in appearances],
        ishard=[np.uint8([[0]])] * len(appearances),
    )


def train_mat(identities: Sequence[tuple]) -> dict[str, np.ndarray]:
    cells = np.empty((len(identities), 1), object)
    for place, (name, appearances) in enumerate(identities):
        cells[place, 0] = structs(
            idname=[name], nAppear=[len(appearances)], scene=[scene(appearances)]
        )
    return {'Train': cells}


def search_mat(key: str, queries: Sequence[tuple], **more: Sequence[Any]) -> dict[str, np.ndarray]:
    query = [
        structs(imname=[image], idlocate=[location(box)], ishard=[np.uint8([[0]])], idname=[name])
        for name, image, box, _ in queries
    ]
    return {key: structs(Query=query, Gallery=[scene(gallery) for *_, gallery in queries], **more)}


def write_cuhk_sysu(root: Path) -> None:
    (root / 'Image' / 'SSM').mkdir(parents=True)
    (root / TRAIN_TEST).mkdir(parents=True)
    (root / SUBSET).mkdir()
    for index, name in enumerate(IMAGES):
        image = np.full((*IMAGE_SIZE, 3), 20 * index, dtype=np.uint8)
        cv2.imwrite(str(root / 'Image' / 'SSM' / name), image)
    for path, content in (
        (Path('annotation', 'Images.mat'), images_mat(IMAGES)),
        (Path('annotation', 'pool.mat'), pool_mat(POOL)),
        (TRAIN_TEST / 'Train.mat', train_mat(TRAIN)),
        (TRAIN_TEST / 'TestG50.mat', search_mat('TestG50', QUERIES)),
        (TRAIN_TEST / 'TestG100.mat', search_mat('TestG100', QUERIES_100)),
        (SUBSET / 'Occlusion.mat', search_mat('Occlusion1', OCCLUSION, occlusion=['left'])),
        (SUBSET / 'Resolution.mat', search_mat('Test_Size', RESOLUTION)),
    ):
        savemat(root / path, content, do_compression=True)
