import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from colored_people import (
    GREEN,
    MODEL_ID,
    PLACES,
    RED,
    YELLOW,
    ColorModel,
    draw,
    make_gallery,
)

from mmps.calibration import calibrate
from mmps.gallery import Gallery
from mmps.web.galleries import OpenGallery

gr = pytest.importorskip('gradio')

from acting import PLAIN, at, names  # noqa: E402

from mmps.web.handlers import CLICK, GROUPS, MARK, Handlers  # noqa: E402
from mmps.web.pictures import CHOSEN_COLOR  # noqa: E402

EVERY, BY_IMAGE, BY_TRACK = GROUPS


def number(place):
    """A click on a result."""
    return gr.SelectData(None, {'index': place, 'value': None})


def test_what_is_in_a_gallery(handlers):
    facts, sources, cameras = handlers.open_gallery('street')
    assert facts.startswith('9 people in 4 frames of 4 files. **Not calibrated**')
    short = [name for name, _ in sources['choices']]
    assert short == ['gate/0.png', 'gate/1.png', 'yard/2.png', 'yard/3.png']
    assert (sources['value'], cameras['value']) == (None, [])
    assert cameras['choices'] == ['gate', 'yard']
    with pytest.raises(ValueError, match=r"no gallery '\.\./street'"):
        handlers.look('../street')
    assert 'build one' in handlers.look(None)[0]


def test_upload_click_search(handlers, tmp_path):
    path = tmp_path / 'query.png'
    cv2.imwrite(str(path), draw(None, GREEN, RED))
    query, picture, hint = handlers.upload(str(path))
    assert not path.exists(), 'what was uploaded is not kept'
    assert picture.shape == (624, 960, 3)
    assert hint.startswith('2 people were detected in query.png. Click the one')
    found, box, crops, _, table, *_ = handlers.search(query, 'street', *PLAIN.values())
    assert (found, box['visible'], crops, table) == (None, False, [], [])

    query, picture, hint = handlers.click(query, CLICK, at(310, 100))
    assert picture[144, 744].tolist() == list(CHOSEN_COLOR)
    found, box, crops, text, table, scene, details, track, walk = handlers.search(
        query, 'street', *PLAIN.values()
    )
    assert box['visible']
    assert set(names(found)[:3]) == {'gate/0.png', 'gate/1.png', 'yard/3.png'}
    assert '**9** of 9 people in *street*' in text
    similarities = [match.similarity for match in found.matches]
    np.testing.assert_allclose(similarities[:3], 1, atol=1e-3)
    assert max(similarities[3:]) < 0.9
    for crop, caption in crops[:3]:
        np.testing.assert_allclose(crop.reshape(-1, 3).mean(axis=0), RED[::-1], atol=12)
        assert '1.000\nuncalibrated\n' in caption
    assert [row[0] for row in table] == list(range(1, 10))
    assert table[0][2] == 'uncalibrated'
    assert scene.shape == (260, 400, 3)
    assert 'Result 1' in details
    assert (track, walk) == ([], 'Only people in videos have tracks.')
    assert str(tmp_path) not in str(table), 'no folders of the server are shown'

    last = handlers.choose_result(found, number(8))
    match = found.matches[8]
    x1, y1, _, _ = (round(value) for value in match.bbox)
    assert last[0][y1, x1].tolist() == list(CHOSEN_COLOR)
    assert f'{match.similarity:.4f}' in last[1]
    assert handlers.choose_result(None, number(0)) == (None, '', [], '')


def test_clicks_beside_people(handlers, ask):
    query = ask(RED, None, None)
    with pytest.raises(ValueError, match='Nobody was detected there'):
        handlers.click(query, CLICK, at(390, 10))
    x1, y1, x2, y2 = PLACES[0]
    query, _, hint = handlers.click(query, MARK, at(x2, y1))
    assert hint == 'Now click the opposite corner.'
    assert handlers.search(query, 'street', *PLAIN.values())[0] is None
    query, _, hint = handlers.click(query, MARK, at(x1, y2))
    assert 'blue box' in hint
    found = handlers.search(query, 'street', *PLAIN.values())[0]
    assert set(names(found)[:3]) == {'gate/0.png', 'gate/1.png', 'yard/3.png'}
    assert handlers.click(None, MARK, at(1, 1)) == (None, None, '')
    assert 'two opposite corners' in handlers.explain(MARK)


def test_bad_uploads(handlers, tmp_path):
    path = tmp_path / 'query.png'
    path.write_text('no picture')
    with pytest.raises(ValueError, match='Not a picture'):
        handlers.upload(str(path))
    assert not path.exists()
    cv2.imwrite(str(path), draw(None, None, None))
    query, _, hint = handlers.upload(str(path))
    assert len(query.persons) == 0
    assert 'Nobody was detected in query.png. Choose “Mark' in hint
    assert handlers.upload(None) == (None, None, '')


def test_filters_and_groups(handlers, ask):
    query = ask(RED)

    def search(**changes):
        return names(handlers.search(query, 'street', *{**PLAIN, **changes}.values())[0])

    assert search(topk=3) != search(topk=4)
    assert len(search(topk=4)) == 4
    assert set(search(cameras=['yard'])) == {'yard/2.png', 'yard/3.png'}
    assert search(cameras=['yard'])[0] == 'yard/3.png'
    assert set(search(path='GATE/1')) == {'gate/1.png'}
    assert sorted(search(group=BY_IMAGE)) == [
        'gate/0.png',
        'gate/1.png',
        'yard/2.png',
        'yard/3.png',
    ]
    from mmps.times import describe_time

    second = describe_time(1.7e9 + 3600)
    assert set(search(begin=second)) == {'gate/1.png', 'yard/2.png', 'yard/3.png'}
    assert set(search(begin=second, end=second)) == {'gate/1.png'}
    with pytest.raises(ValueError, match="has 'elsewhere' in its path"):
        search(path='elsewhere')
    with pytest.raises(ValueError, match=r'no time: write'):
        search(begin='noon')
    found, box, _, text, *_ = handlers.search(
        query, 'street', *{**PLAIN, 'begin': '2030-01-01'}.values()
    )
    assert (found.matches, box['visible'], text) == ([], False, 'Nobody passes these filters.')


def test_frames_of_the_gallery(handlers, colored_scenes):
    source = str(colored_scenes['yard/2.png'])
    assert handlers.list_frames('street', source)['value'] == 0
    query, picture, hint = handlers.take_frame('street', source, 0)
    assert '2 people were detected in 2.png, frame 0' in hint
    assert picture.shape == (624, 960, 3)
    query = handlers.click(query, CLICK, at(310, 100))[0]
    np.testing.assert_allclose(query.bbox, PLACES[2])
    expected = ColorModel().embed(draw(None, None, YELLOW), [PLACES[2]])
    np.testing.assert_allclose(query.embedding, expected, atol=1e-6)
    with pytest.raises(FileNotFoundError, match='not in this gallery'):
        handlers.take_frame('street', '/etc/passwd', 0)
    assert handlers.take_frame('street', None, None)[0] is None


def test_calibrated(handlers, ask, colored_gallery):
    pairs = np.array([0.99] * 30 + [0.3] * 70), np.arange(100) < 30
    path = calibrate(*pairs, false_alarm_rate=0.01, model_id=MODEL_ID, labels='streets.npz').save(
        colored_gallery
    )
    try:
        facts = handlers.look('street')[0]
        found, _, crops, _, table, _, details, *_ = handlers.search(
            ask(RED), 'street', *PLAIN.values()
        )
    finally:
        path.unlink()
    assert 'Calibrated with streets.npz' in facts
    assert '1 % of strangers pass' in facts
    assert found.matches[0].probability == pytest.approx(30 / 31, abs=1e-3)
    assert all('96.8' in text for text in (crops[0][1], str(table[0]), details))


def test_exports(handlers, ask, tmp_path, monkeypatch):
    monkeypatch.setenv('GRADIO_TEMP_DIR', str(tmp_path / 'cache'))
    query = ask(RED)
    found = handlers.search(query, 'street', *{**PLAIN, 'topk': 4}.values())[0]
    paths = {kind: Path(handlers.export(found, kind)) for kind in ('JSON', 'CSV', 'HTML')}
    assert all(path.is_relative_to(tmp_path / 'cache') for path in paths.values())
    document = json.loads(paths['JSON'].read_text())
    assert [match['source'] for match in document['matches']] == [m.source for m in found.matches]
    assert document['queries'] == [{'image': 'query.png', 'bbox': list(PLACES[0])}]
    with paths['CSV'].open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['rank'] for row in rows] == ['1', '2', '3', '4']
    assert int(rows[0]['row_id']) == found.matches[0].row_id
    assert (rows[0]['probability'], rows[0]['track']) == ('', '')
    assert float(rows[0]['x1']) == found.matches[0].bbox[0]
    page = paths['HTML'].read_text()
    assert page.count('data:image') >= 5
    with pytest.raises(ValueError, match='no results to save'):
        handlers.export(None, 'CSV')


def test_while_a_gallery_grows_and_shrinks(colored_scenes, tmp_path, monkeypatch):
    """Others index and delete while it is open."""
    some = {name: path for name, path in colored_scenes.items() if name.startswith('yard')}
    make_gallery(tmp_path / 'g', some)
    opened = OpenGallery(tmp_path / 'g', model_id=MODEL_ID)
    red = ColorModel().embed(draw(RED), [PLACES[0]])
    assert len(opened.search(red, topk=20)) == 5
    rest = {name: path for name, path in colored_scenes.items() if name.startswith('gate')}
    make_gallery(tmp_path / 'g', rest)
    found = opened.search(red, topk=20)
    assert len(found) == 9
    assert opened.facts().persons == 9
    shutil.rmtree(tmp_path / 'g' / 'shards')
    assert opened.thumbnails([found[0].row_id]) == [b'']
    assert opened.search(red, topk=20) == []
    assert opened.facts().persons == 0


def test_a_scene_that_is_gone(colored_scenes, tmp_path, ask, handlers):
    paths = {name: tmp_path / Path(name).name for name in colored_scenes}
    for name, path in colored_scenes.items():
        shutil.copy(path, paths[name])
    make_gallery(tmp_path / 'g', paths)
    for path in paths.values():
        path.unlink()
    moved = Handlers({'g': OpenGallery(tmp_path / 'g', model_id=MODEL_ID)}, handlers.model)
    _, _, _, _, _, scene, details, *_ = moved.search(ask(RED), 'g', *PLAIN.values())
    assert len(scene) == 128
    assert 'Its scene cannot be read any more' in details


def test_track(tmp_path, handlers):
    """A red person walks through a video while a green one stands."""
    from mmps.gallery import Coverage, SourceEnd, make_rows

    gallery = Gallery.create(tmp_path / 'g', model_id=MODEL_ID, embed_dim=4, model={})
    video = str(tmp_path / 'walk.avi')
    for frame in range(60):
        bboxes = np.array([(40 + frame, 60, 100 + frame, 220), PLACES[2]], np.float32)
        scene = draw(None, None, GREEN)
        scene[60:220, 40 + frame : 100 + frame] = RED
        rows = make_rows(
            video,
            frame,
            image=scene,
            bboxes=bboxes,
            scores=np.ones(2, np.float32),
            embeddings=ColorModel().embed(scene, bboxes),
            time=frame / 10,
        )
        gallery.append(rows, {video: Coverage(frozenset({frame}), SourceEnd(60, 1))})
    opened = OpenGallery(tmp_path / 'g', model_id=MODEL_ID)
    red = ColorModel().embed(draw(RED), [PLACES[0]])
    best, *others = opened.search(red, topk=2, group='track')
    assert best.similarity > 0.99
    assert len(others) == 1
    assert others[0].similarity < 0.9
    walk = opened.track(best, limit=20)
    assert len(walk) == 20
    assert [walk[0].frame, walk[-1].frame] == [0, 59]
    assert [step.bbox[0] for step in walk] == [40 + step.frame for step in walk]
    assert {step.similarity for step in walk} == {best.similarity}
    assert opened.frames(video) == list(range(60))
    assert opened.persons(video, 7).bboxes[:, 0].tolist() == [47, 280]


def test_of_another_model(colored_gallery):
    with pytest.raises(ValueError, match='made with another model'):
        OpenGallery(colored_gallery, model_id='f00d')
