"""Where the reference outputs and the real annotations are, and how they are read."""

import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PARITY = Path(os.environ.get('MMPS_PARITY', ROOT.parent / 'shared' / 'parity'))
# Real annotations, without images: archives, and a folder where they are unpacked already.
DATA = Path(os.environ.get('MMPS_SHARED_DATA', ROOT.parent / 'shared' / 'data'))
UNPACKED = os.environ.get('MMPS_PARITY_DATA')


@dataclass(frozen=True)
class Reference:
    """One reference: what its .json says and the arrays of its .npz."""

    info: dict[str, Any]
    arrays: dict[str, np.ndarray]


def load_reference(name: str) -> Reference:
    """Read a reference; where it is not there, the test is skipped with the reason."""
    info, arrays = (PARITY / 'golden' / f'{name}{suffix}' for suffix in ('.json', '.npz'))
    if not (info.is_file() and arrays.is_file()):
        pytest.skip(f'no reference outputs of {name} in {PARITY / "golden"} (set MMPS_PARITY)')
    with np.load(arrays) as loaded:
        return Reference(json.loads(info.read_text()), {key: loaded[key] for key in loaded})


def real_annotations(name: str, *, archive: str, folder: Path) -> Path:
    """A data set's folder of real annotations; where there are none, the test is skipped.

    Args:
        name: of the folder in ``MMPS_PARITY_DATA``, and in the archive.
        archive: in ``MMPS_SHARED_DATA``; unpacked where the former does not have the folder.
        folder: where to unpack it.
    """
    if UNPACKED is not None and Path(UNPACKED, name).is_dir():
        return Path(UNPACKED, name)
    path = DATA / archive
    if not path.is_file():
        pytest.skip(
            f'no annotations of {name}: {path} is not there '
            '(set MMPS_SHARED_DATA, or MMPS_PARITY_DATA to a folder where it is unpacked)'
        )
    with tarfile.open(path) as content:
        content.extractall(folder, filter='data')
    return folder / name
