import os
import shutil
import threading

import numpy as np
import pytest
from colored_people import MODEL_ID, PLACES, RED, ColorModel, draw

from mmps.gallery import Gallery
from mmps.web.builds import Builder
from mmps.web.galleries import OpenGallery
from mmps.web.shared_model import SharedModel


@pytest.fixture
def footage(tmp_path, colored_scenes):
    for name, path in colored_scenes.items():
        target = tmp_path / 'footage' / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path / 'footage'


@pytest.fixture
def builder(tmp_path, footage):
    made = Builder({}, SharedModel(ColorModel()), roots=[footage], folder=tmp_path / 'built')
    yield made
    made.close()


def test_build_and_add(builder, footage):
    assert builder.folders() == [str(footage), str(footage / 'gate'), str(footage / 'yard')]
    builder.start(' my gate ', str(footage / 'gate'), camera='gate', fps=2)
    assert builder.busy
    assert 'my gate' in builder.galleries, 'it can be searched from the beginning'
    builder.wait()
    assert not builder.busy
    assert builder.states() == '- **my gate**: done: 4 people in 2 frames of 2 files'
    opened = builder.galleries['my gate']
    red = ColorModel().embed(draw(RED), [PLACES[0]])
    found = opened.search(red, topk=10)
    np.testing.assert_allclose([match.similarity for match in found[:2]], 1, atol=1e-3)
    assert {match.camera for match in found} == {'gate'}

    (footage / 'yard' / 'broken.png').write_text('no picture')
    builder.start('my gate', str(footage), camera='', fps=2)
    builder.wait()
    assert 'done: 5 people in 2 frames of 5 files; 1 could not be read, first' in builder.states()
    assert len(opened.search(red, topk=20)) == 9
    assert Gallery.open(opened.gallery.root).model == ColorModel.origin


def test_refused(builder, footage, tmp_path, colored_gallery):
    (tmp_path / 'elsewhere').mkdir()
    for folder in (tmp_path / 'elsewhere', tmp_path, '/etc', footage / '..' / 'elsewhere'):
        with pytest.raises(ValueError, match='not in a folder that this page may read'):
            builder.start('a', str(folder), camera='', fps=2)
    for name in ('', ' ', '../a', 'a/b', '.a', 'a' * 65):
        with pytest.raises(ValueError, match='Name the gallery'):
            builder.start(name, str(footage), camera='', fps=2)
    builder.galleries['street'] = OpenGallery(colored_gallery, model_id=MODEL_ID)
    with pytest.raises(ValueError, match='a gallery street from elsewhere'):
        builder.start('street', str(footage), camera='', fps=2)
    assert not (tmp_path / 'built').exists()
    assert builder.states() == ''


def test_links_to_other_folders_are_not_followed(builder, footage, colored_scenes):
    os.symlink(colored_scenes['yard/2.png'], footage / 'gate' / 'link.png')
    builder.start('a', str(footage / 'gate'), camera='', fps=2)
    builder.wait()
    assert 'in 2 frames of 2 files' in builder.states()


def test_a_model_that_fails(builder, footage, monkeypatch):
    def fail(self, images, *, batch_size=1):
        raise RuntimeError('out of memory')

    monkeypatch.setattr(ColorModel, 'detect', fail)
    builder.start('a', str(footage), camera='', fps=2)
    builder.wait()
    assert builder.states() == '- **a**: failed: the log of the server says why'
    assert not builder.busy


def test_searches_do_not_wait_for_a_build(builder, footage, monkeypatch, colored_gallery):
    """While the model is busy with a picture, everybody can search."""
    busy, go_on = threading.Event(), threading.Event()

    def slow(self, images, *, batch_size=1):
        busy.set()
        assert go_on.wait(60)
        return [self._detect(image) for image in images]

    monkeypatch.setattr(ColorModel, 'detect', slow)
    builder.galleries['street'] = OpenGallery(colored_gallery, model_id=MODEL_ID)
    red = ColorModel().embed(draw(RED), [PLACES[0]])
    try:
        builder.start('a', str(footage), camera='', fps=2)
        assert busy.wait(60)
        assert len(builder.galleries['street'].search(red, topk=20)) == 9
        assert builder.galleries['a'].search(red, topk=20) == []
        assert builder.galleries['a'].facts().persons == 0
        with pytest.raises(ValueError, match='a is being built: wait'):
            builder.start('a', str(footage), camera='', fps=2)
        builder.start('b', str(footage / 'gate'), camera='', fps=2)
        assert '**b**: waiting for its turn' in builder.states()
    finally:
        go_on.set()
    builder.wait()
    assert len(builder.galleries['a'].search(red, topk=20)) == 9
    assert len(builder.galleries['b'].search(red, topk=20)) == 4
