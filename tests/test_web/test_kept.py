"""Several pictures of one person are searched for together."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from colored_people import GREEN, LIME, ORANGE, PLACES, RED

gr = pytest.importorskip('gradio')

from acting import PLAIN, at, names  # noqa: E402

from mmps.index import search_gallery  # noqa: E402
from mmps.web.handlers import CLICK  # noqa: E402
from mmps.web.kept import MAX_KEPT  # noqa: E402


@pytest.fixture
def search(handlers):
    def run(query, kept=(), **changes):
        return handlers.search(query, 'street', *{**PLAIN, **changes}.values(), kept)

    return run


def test_kept_and_next_are_fused(handlers, ask, search):
    first = ask(ORANGE, name='first.png')
    second = ask(None, LIME, name='second.png')
    assert names(search(first)[0])[0] in ('gate/0.png', 'gate/1.png', 'yard/3.png')  # red
    assert names(search(second)[0])[0] in ('gate/0.png', 'yard/3.png')  # green

    kept, row, crops, hint = handlers.keep(first, ())
    assert row['visible']
    assert hint.startswith('Kept. Now click the same person')
    [(crop, name)] = crops
    assert name == 'first.png'
    np.testing.assert_allclose(crop.reshape(-1, 3).mean(axis=0), ORANGE[::-1], atol=12)

    found, *_, text = search(second, kept)[:4]
    assert names(found)[0] == 'yard/2.png'  # yellow
    assert 'by **2** pictures of one person' in text
    street = handlers.galleries['street']
    both = np.concatenate([second.embedding, first.embedding])
    assert found.matches == search_gallery(street.gallery, street._index, both, topk=12)

    assert search(second)[0].matches[0] != found.matches[0], 'whoever keeps nothing sees nothing'
    kept, row, crops, hint = handlers.start_over()
    assert (kept, row['visible'], crops) == ((), False, [])
    assert hint.startswith('No picture is kept any more.')


def test_two_people_of_one_picture(handlers, ask, search):
    query = ask(ORANGE, None, LIME)
    kept, *_ = handlers.keep(query, ())
    query, *_ = handlers.click(query, CLICK, at(310, 100))
    found = search(query, kept)[0]
    assert names(found)[0] == 'yard/2.png'
    assert [picture.bbox.tolist() for picture in found.pictures] == [
        list(PLACES[2]),
        list(PLACES[0]),
    ]


def test_the_same_box_counts_once(handlers, ask, search):
    query = ask(RED, GREEN)
    kept, *_ = handlers.keep(query, ())
    found, *_, text = search(query, kept)[:4]
    assert found.matches == search(query)[0].matches
    assert 'pictures of one person' not in text
    again, _, crops, _ = handlers.keep(query, kept)
    assert (len(again), len(crops)) == (1, 1)


def test_kept_alone(handlers, ask, search):
    """While the next picture is uploaded and nobody in it is chosen."""
    query = ask(RED)
    kept, *_ = handlers.keep(query, ())
    for nobody in (None, replace(query, bbox=None, embedding=None)):
        assert search(nobody, kept)[0].matches == search(query)[0].matches
        assert search(nobody)[0] is None
        with pytest.raises(ValueError, match='Choose a person in a picture first'):
            handlers.keep(nobody, kept)


def test_scenes_are_not_kept(handlers, ask):
    [picture], *_ = handlers.keep(ask(RED), ())
    assert picture.scene.shape == (128, 48, 3)
    assert picture.scene.base is None or picture.scene.base.size == picture.scene.size
    assert picture.box.tolist() == [0, 0, 48, 128]
    assert picture.bbox.tolist() == list(PLACES[0])


def test_so_many_are_kept_at_most(handlers, ask):
    query, kept = ask(RED), ()
    for shift in range(MAX_KEPT):
        kept, *_ = handlers.keep(replace(query, bbox=query.bbox + shift), kept)
    assert len(kept) == MAX_KEPT
    with pytest.raises(ValueError, match='At most 16 pictures of a person can be kept'):
        handlers.keep(replace(query, bbox=query.bbox + MAX_KEPT), kept)
    assert len(handlers.keep(query, kept)[0]) == MAX_KEPT, 'that one is kept already'


def test_exports_name_all(handlers, ask, search, tmp_path, monkeypatch):
    monkeypatch.setenv('GRADIO_TEMP_DIR', str(tmp_path / 'cache'))
    kept, *_ = handlers.keep(ask(ORANGE, name='first.png'), ())
    found = search(ask(None, LIME, name='second.png'), kept, topk=4)[0]
    paths = {kind: Path(handlers.export(found, kind)) for kind in ('JSON', 'CSV', 'HTML')}
    assert json.loads(paths['JSON'].read_text())['queries'] == [
        {'image': 'second.png', 'bbox': list(PLACES[1])},
        {'image': 'first.png', 'bbox': list(PLACES[0])},
    ]
    with paths['CSV'].open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['queries'] for row in rows] == [
        'second.png:160,60,220,220; first.png:40,60,100,220'
    ] * 4
    page = paths['HTML'].read_text()
    assert '<h1>Search results for second.png, first.png</h1>' in page
    assert page.count('<figure class="is-query">') == 2
