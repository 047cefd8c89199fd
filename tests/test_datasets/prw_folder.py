"""Writes a tiny PRW with every peculiarity of the real one."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from scipy.io import savemat

TRAIN = ('c1s1_000151', 'c2s1_000200', 'c6s1_000300')
GALLERY = ('c3s2_001000', 'c1s2_000900', 'c4s3_002000')

# Rows (id, x, y, w, h); the key of the variable differs from file to file in PRW, too.
ANNOTATIONS = {
    'c1s1_000151': {'box_new': [[5, 10.7, 20.2, 30.6, 40.9], [-2, 1, 2, 30, 40]]},
    'c2s1_000200': {'anno_file': [[932, -3.4, 5, 10, 12], [5, 4, -8, 20, 31]]},
    'c6s1_000300': {'anno_previous': [[7, 0, 0, 5, 5]]},
    'c3s2_001000': {
        'box_new': [[484, 12, 8, 20, 30]],
        'anno_file': [[1, 0, 0, 1, 1]],
        'anno_previous': [[2, 0, 0, 1, 1]],
    },
    'c1s2_000900': {'box_new': [[479, 3, 3, 9, 9], [484, 1, 1, 11, 7], [-2, 5, 5, 8, 8]]},
    'c4s3_002000': {'box_new': np.zeros((0, 5))},
}
QUERIES = (
    b'484 -3.6 8.9 20.8 30.3 c3s2_001000\r\n479 3 3 9 9 c1s2_000900\n490 4 4 6 6 c3s2_001000\r\n'
)
FRAME_SIZE = (48, 64)


def write_rows(root: Path, frame: str, **variables: Sequence) -> Path:
    path = root / 'annotations' / f'{frame}.jpg.mat'
    savemat(path, {key: np.array(rows, dtype=np.float64) for key, rows in variables.items()})
    return path


def write_listing(root: Path, split: str, frames: Sequence[str]) -> Path:
    cells = np.empty((len(frames), 1), dtype=object)
    cells[:, 0] = frames
    path = root / f'frame_{split}.mat'
    savemat(path, {f'img_index_{split}': cells})
    return path


def write_prw(root: Path) -> None:
    (root / 'annotations').mkdir(parents=True)
    (root / 'frames').mkdir()
    for frame, variables in ANNOTATIONS.items():
        write_rows(root, frame, **variables)
    for index, frame in enumerate((*TRAIN, *GALLERY)):
        image = np.full((*FRAME_SIZE, 3), 20 * index, dtype=np.uint8)
        cv2.imwrite(str(root / 'frames' / f'{frame}.jpg'), image)
    write_listing(root, 'train', TRAIN)
    write_listing(root, 'test', GALLERY)
    (root / 'query_info.txt').write_bytes(QUERIES)
