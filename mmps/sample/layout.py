"""PRW's on-disk layout, written as its authors publish it.

``frames/<name>.jpg``, ``annotations/<name>.jpg.mat`` (``box_new``: rows id, x, y, w, h),
``frame_train.mat``, ``frame_test.mat``, ``ID_train.mat``, ``ID_test2.mat`` and
``query_info.txt`` (id, x, y, w, h, frame; lines end in CRLF). See Zheng et al., "Person
Re-identification in the Wild", CVPR 2017.
"""

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.io import savemat

from .canvas import Image
from .scene import Box

_HEADER = b'MATLAB 5.0 MAT-file, mmps sample'.ljust(116)


def _write_mat(path: Path, content: dict[str, Any]) -> None:
    buffer = BytesIO()
    savemat(buffer, content)
    # The header holds the time of writing: without it, the same seed gives the same bytes.
    path.write_bytes(_HEADER + buffer.getvalue()[len(_HEADER) :])


def write_frame(
    root: Path, name: str, picture: Image, boxes: Sequence[Box], *, quality: int
) -> None:
    """Write one frame (RGB) and its annotation."""
    path = root / 'frames' / f'{name}.jpg'
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, quality]):
        raise OSError(f'{path} could not be written')
    write_annotation(root, name, [(box.pid, *box.xywh) for box in boxes])


def write_annotation(root: Path, name: str, rows: Sequence[tuple[float, ...]]) -> None:
    """Write the persons of one frame: rows of id, x, y, w, h."""
    content = {'box_new': np.array(rows, dtype=np.float64).reshape(-1, 5)}
    _write_mat(root / 'annotations' / f'{name}.jpg.mat', content)


def write_split(root: Path, *, test: bool, names: Sequence[str], pids: Iterable[int]) -> None:
    """Write a split's list of frames and list of identities."""
    cells = np.empty((len(names), 1), dtype=object)
    cells[:, 0] = names
    split = 'test' if test else 'train'
    _write_mat(root / f'frame_{split}.mat', {f'img_index_{split}': cells})
    key = 'ID_test2' if test else 'ID_train'
    _write_mat(root / f'{key}.mat', {key: np.array([list(pids)], dtype=np.float64)})


def write_queries(root: Path, queries: Iterable[tuple[str, Box]]) -> None:
    """Write the list of queries: frame name and box of each."""
    lines = [
        f'{box.pid} {" ".join(f"{value:.1f}" for value in box.xywh)} {name}\r\n'
        for name, box in queries
    ]
    (root / 'query_info.txt').write_bytes(''.join(lines).encode())
