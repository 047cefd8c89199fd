from pathlib import Path

import pytest
from colored_people import make_gallery, write_scenes


@pytest.fixture(scope='session')
def colored_scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Scenes by name; not to be written to."""
    return write_scenes(tmp_path_factory.mktemp('footage'))


@pytest.fixture(scope='session')
def colored_gallery(
    tmp_path_factory: pytest.TempPathFactory, colored_scenes: dict[str, Path]
) -> Path:
    """A gallery of them; not to be written to."""
    root = tmp_path_factory.mktemp('galleries') / 'street'
    make_gallery(root, colored_scenes)
    return root
