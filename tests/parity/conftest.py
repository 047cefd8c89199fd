"""Reference outputs of the authors' own code; see README.md beside this file.

The folder is named by ``MMPS_PARITY`` (default ``../shared/parity``, beside the checkout). Without
it every test here is skipped with the reason.
"""

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PARITY = Path(os.environ.get('MMPS_PARITY', ROOT.parent / 'shared' / 'parity'))


@pytest.fixture(scope='session')
def fixtures() -> ModuleType:
    """The module that rebuilds the inputs of the references."""
    path = PARITY / 'fixtures.py'
    if not path.is_file():
        pytest.skip(f'no reference outputs: {path} is not there (set MMPS_PARITY)')
    spec = importlib.util.spec_from_file_location('parity_fixtures', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_reference(name: str) -> Any:
    """One reference: ``info`` (json) and ``arrays`` (npz); skips where it is not there."""
    info, arrays = (PARITY / 'golden' / f'{name}{suffix}' for suffix in ('.json', '.npz'))
    if not (info.is_file() and arrays.is_file()):
        pytest.skip(f'no reference outputs of {name} in {PARITY / "golden"} (set MMPS_PARITY)')
    with np.load(arrays) as loaded:
        return SimpleNamespace(
            info=json.loads(info.read_text()), arrays={key: loaded[key] for key in loaded}
        )
