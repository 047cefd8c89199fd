"""Reference outputs of the authors' own code.

The folder is named by ``MMPS_PARITY`` (default ``../shared/parity``, beside the checkout). Without
it every test here is skipped with the reason.
"""

import importlib.util
from types import ModuleType

import pytest
from references import PARITY


@pytest.fixture(scope='session')
def fixtures() -> ModuleType:
    """The module that rebuilds the inputs of the references."""
    path = PARITY / 'fixtures.py'
    if not path.is_file():
        pytest.skip(f'no reference outputs: {path} is not there (set MMPS_PARITY)')
    spec = importlib.util.spec_from_file_location('parity_fixtures', path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
