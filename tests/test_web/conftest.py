from pathlib import Path

import cv2
import pytest
from colored_people import MODEL_ID, ColorModel, draw, make_gallery, write_scenes


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


@pytest.fixture
def handlers(colored_gallery):
    """Of a page with that gallery alone."""
    pytest.importorskip('gradio')
    from mmps.web.galleries import OpenGallery
    from mmps.web.handlers import Handlers
    from mmps.web.shared_model import SharedModel

    galleries = {'street': OpenGallery(colored_gallery, model_id=MODEL_ID)}
    return Handlers(galleries, SharedModel(ColorModel()))


@pytest.fixture
def ask(handlers, tmp_path):
    """Upload a scene and click its first person."""
    from acting import at

    from mmps.web.handlers import CLICK

    def run(*colors, name='query.png'):
        cv2.imwrite(str(tmp_path / name), draw(*colors))
        query, _, _ = handlers.upload(str(tmp_path / name))
        x1, y1, x2, y2 = query.persons.bboxes[0]
        return handlers.click(query, CLICK, at((x1 + x2) / 2, (y1 + y2) / 2))[0]

    return run
