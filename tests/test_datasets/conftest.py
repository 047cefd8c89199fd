from pathlib import Path

import pytest
from cuhk_sysu_folder import write_cuhk_sysu
from prw_folder import write_prw


@pytest.fixture
def prw_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    root = tmp_path / 'PRW'
    write_prw(root)
    return root


@pytest.fixture
def cuhk_sysu_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    root = tmp_path / 'CUHK-SYSU'
    write_cuhk_sysu(root)
    return root
