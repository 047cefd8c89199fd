"""Where the reference outputs are, and how one is read."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PARITY = Path(os.environ.get('MMPS_PARITY', ROOT.parent / 'shared' / 'parity'))
# Real annotations, without images.
DATA = Path(os.environ.get('MMPS_SHARED_DATA', ROOT.parent / 'shared' / 'data'))


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
