from pathlib import Path

import pytest
from prw_folder import write_prw


@pytest.fixture
def prw_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    root = tmp_path / 'PRW'
    write_prw(root)
    return root
