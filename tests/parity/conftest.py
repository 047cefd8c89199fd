"""Reference outputs of the authors' own code, and real annotations.

The folder of references is named by ``MMPS_PARITY`` (default ``../shared/parity``, beside the
checkout), that of annotations by ``MMPS_PARITY_DATA`` (default: unpacked from the archives in
``MMPS_SHARED_DATA``, ``../shared/data``). Without them every test here is skipped with the reason.
"""

import ctypes
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from references import PARITY, real_annotations


@pytest.fixture(scope='package', autouse=True)
def _freed_memory_is_kept() -> Iterator[None]:
    """Let glibc keep the memory that it is given back, for the while of these tests.

    Tensors of many MiB come and go in whole models: to have the kernel clear their pages anew each
    time takes a quarter of the time.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, 'mallopt'):
        yield
        return
    trim_threshold, mmap_max = -1, -4  # names of mallopt's settings
    libc.mallopt(trim_threshold, -1)  # the largest number there is
    libc.mallopt(mmap_max, 0)
    yield
    libc.mallopt(trim_threshold, 128 * 1024)
    libc.mallopt(mmap_max, 65536)
    libc.malloc_trim(0)


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


@pytest.fixture(scope='session')
def prw_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PRW's annotations in its native layout."""
    folder = tmp_path_factory.mktemp('prw')
    return real_annotations('PRW-v16.04.20', archive='prw_annotations.tar.xz', folder=folder)


@pytest.fixture(scope='session')
def cuhk_sysu_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CUHK-SYSU's protocol in its native layout."""
    folder = tmp_path_factory.mktemp('cuhk_sysu')
    return real_annotations('CUHK-SYSU', archive='cuhk_sysu_protocol.tar.xz', folder=folder)


@pytest.fixture(scope='session')
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where parsed annotations are kept from one module to the next."""
    return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='module', autouse=True)
def own_cache(cache_folder: Path) -> Iterator[None]:
    """Leave the user's cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(cache_folder))
        yield
