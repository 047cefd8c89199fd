import base64
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import error_of, run, run_json

from mmps.apis import PersonSearchInferencer, read_image
from mmps.calibration import Calibration
from mmps.cli.search_report import _shorter
from mmps.gallery import Gallery, find_sources, index_sources, to_arrays
from mmps.index import open_index, search_gallery


@pytest.fixture(scope='module')
def inferencer(tiny_weights: Path) -> PersonSearchInferencer:
    return PersonSearchInferencer(weights=tiny_weights, device='cpu', score_thr=0.0)


@pytest.fixture(scope='module')
def frames(tiny_prw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images of two cameras in two folders."""
    root = tmp_path_factory.mktemp('footage')
    for number, path in enumerate(sorted((tiny_prw / 'frames').glob('*.jpg'))[:4]):
        (root / f'c{number % 2}').mkdir(exist_ok=True)
        shutil.copy(path, root / f'c{number % 2}' / f'{number}.jpg')
    return root


@pytest.fixture(scope='module')
def gallery(
    frames: Path, inferencer: PersonSearchInferencer, tmp_path_factory: pytest.TempPathFactory
) -> Gallery:
    made = Gallery.create(
        tmp_path_factory.mktemp('galleries') / 'mine',
        model_id=inferencer.model_id,
        embed_dim=inferencer.embed_dim,
        model=inferencer.origin,
    )
    index_sources(made, inferencer, find_sources([frames]), camera_pattern=r'(c\d)')
    return made


def box_in(gallery: Gallery, source: Path) -> list[float]:
    """A person that the gallery has of a source."""
    rows = gallery.metadata().to_pylist()
    return next(row['bbox'] for row in rows if row['source'] == str(source))


def test_results_are_the_most_similar_rows(
    gallery: Gallery, frames: Path, inferencer: PersonSearchInferencer
) -> None:
    image = frames / 'c1' / '1.jpg'
    box = box_in(gallery, image)
    found = run_json('search', gallery.root, image, '--box', *box, '--topk', 3)
    [query] = found['queries']
    assert query == {'image': str(image), 'frame': None, 'bbox': pytest.approx(box)}
    ids = gallery.metadata()['row_id'].to_pylist()
    embeddings = to_arrays(gallery.rows(ids, ['embedding'])['embedding'])
    cosines = embeddings @ inferencer.embed(image, box)[0]
    best = np.argsort(-cosines)[:3]
    assert [match['row_id'] for match in found['matches']] == [ids[i] for i in best]
    for match, i in zip(found['matches'], best, strict=True):
        assert match['similarity'] == pytest.approx(cosines[i], abs=1e-5)
        [row] = gallery.rows([ids[i]], ['source', 'camera', 'bbox', 'score']).to_pylist()
        assert {key: match[key] for key in row} == row
        assert match['camera'] == Path(match['source']).parent.name
        assert (match['probability'], match['time'], match['track']) == (None, None, -1)


def test_matches_are_those_of_search_gallery(
    gallery: Gallery, frames: Path, inferencer: PersonSearchInferencer
) -> None:
    images = [frames / 'c0' / '0.jpg', frames / 'c0' / '2.jpg']
    boxes = [[round(value) for value in box_in(gallery, image)] for image in images]
    also = f'{images[1]}:{",".join(map(str, boxes[1]))}'
    found = run_json('search', gallery.root, images[0], '--box', *boxes[0], '--also', also)
    embeddings = np.concatenate(
        [inferencer.embed(image, box) for image, box in zip(images, boxes, strict=True)]
    )
    matches = search_gallery(gallery, open_index(gallery), embeddings)
    assert [m['row_id'] for m in found['matches']] == [m.row_id for m in matches]
    assert [m['similarity'] for m in found['matches']] == pytest.approx(
        [m.similarity for m in matches], abs=1e-5
    )
    assert len(found['queries']) == 2
    ranking = inferencer.search(images[0], boxes[0], gallery, topk=4)
    alone = run_json('search', gallery.root, images[0], '--box', *boxes[0], '--topk', 4)
    assert [m['row_id'] for m in alone['matches']] == ranking.as_arrays()['row_id'].tolist()


def test_filters_and_groups(gallery: Gallery, frames: Path) -> None:
    image = frames / 'c1' / '1.jpg'
    query = ('search', gallery.root, image, '--box', *box_in(gallery, image), '--topk', 100)

    def sources(*options: object) -> list[str]:
        return [match['source'] for match in run_json(*query, *options)['matches']]

    everywhere = sources()
    assert len(everywhere) == len(gallery.metadata())
    assert {Path(s).parent.name for s in sources('--camera', 'c0')} == {'c0'}
    assert set(sources('--source', '3.jpg')) == {str(frames / 'c1' / '3.jpg')}
    assert set(sources('--source', frames / 'c0', '--source', '3.jpg')) == set(everywhere) - {
        str(image)
    }
    assert sorted(sources('--group', 'image')) == sorted(set(everywhere))
    assert sources('--from', '2026-01-01') == []  # of images without a time
    result = run(*query, '--to', '0:10')
    assert 'Nobody was found. Fewer filters' in result.stdout


def test_persons_are_listed_with_numbers_to_choose_by(
    gallery: Gallery,
    frames: Path,
    inferencer: PersonSearchInferencer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Random weights find nobody with a score of 0.5.
    monkeypatch.setattr('mmps.apis.load_gallery_model', lambda *args, **kwargs: inferencer)
    image = frames / 'c0' / '2.jpg'
    [persons] = inferencer.detect([image])
    page = tmp_path / 'persons.html'
    listed = run_json('search', gallery.root, image, '--html', page)['persons']
    assert [person['number'] for person in listed] == list(range(1, len(persons) + 1))
    np.testing.assert_allclose([person['bbox'] for person in listed], persons.bboxes)
    assert len(pictures(page)) == 1
    table = run('search', gallery.root, image).stdout
    assert 'Look for one of them: --person NUMBER' in table
    assert re.search(r'│ +2 │ \d+ \d+ \d+ \d+ +│', table)
    third = run_json('search', gallery.root, image, '--person', 3)
    assert third['queries'][0]['bbox'] == pytest.approx(persons.bboxes[2].tolist())
    assert 'there is no number 99 among' in error_of('search', gallery.root, image, '--person', 99)


def test_a_frame_of_a_video(
    gallery: Gallery, frames: Path, inferencer: PersonSearchInferencer, tmp_path: Path
) -> None:
    image = read_image(frames / 'c0' / '0.jpg')
    video = tmp_path / 'two.avi'
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*'MJPG'), 5, image.shape[1::-1])
    for pixels in (np.zeros_like(image), image):
        writer.write(pixels)
    writer.release()
    box = box_in(gallery, frames / 'c0' / '0.jpg')
    found = run_json('search', gallery.root, video, '--frame', 1, '--box', *box)
    assert found['queries'][0]['frame'] == 1
    capture = cv2.VideoCapture(str(video))
    capture.read()
    ranking = inferencer.search(capture.read()[1], box, gallery)
    assert [m['row_id'] for m in found['matches']] == [m.row_id for m in ranking]
    assert found['matches'][0]['similarity'] == pytest.approx(ranking[0].similarity, abs=1e-5)
    assert 'two.avi is a video: say which of its frames' in error_of(
        'search', gallery.root, video, '--box', *box
    )


def test_the_table_says_whether_it_is_calibrated(gallery: Gallery, frames: Path) -> None:
    image = frames / 'c1' / '1.jpg'
    query = ('search', gallery.root, image, '--box', *box_in(gallery, image), '--topk', 2)
    result = run(*query)
    assert result.stdout.count('uncalibrated') == 2
    [first, second] = run_json(*query)['matches']
    assert re.search(rf'│ +1 │ +{first["similarity"]:.3f} +│.*{first["source"]} ', result.stdout)
    assert re.search(rf'│ +2 │ +{second["similarity"]:.3f} +│.*{second["source"]} ', result.stdout)
    for match in (first, second):  # the row is what `mmps delete` asks for
        assert re.search(rf'{match["source"]} .*│ +{match["row_id"]} │\n', result.stdout)
    assert 'mmps calibrate' in result.stderr


def test_the_page_holds_queries_and_results_in_their_scenes(
    gallery: Gallery, frames: Path, tmp_path: Path
) -> None:
    image = frames / 'c1' / '1.jpg'
    box = box_in(gallery, image)
    page = tmp_path / 'new' / 'results.html'
    run('search', gallery.root, image, '--box', *box, '--topk', 3, '--html', page)
    html = page.read_text()
    assert html.count('class="is-found"') == 3
    matches = run_json('search', gallery.root, image, '--box', *box, '--topk', 3)['matches']
    for rank, match in enumerate(matches, start=1):
        assert f'<figcaption>{rank}: <b>{match["similarity"]:.3f}</b>' in html
        assert f'<small>{Path(match["source"]).name}</small>' in html
    assert html.count('same person: uncalibrated') == 3
    assert f'camera {matches[0]["camera"]}' in html
    assert not re.findall(r'(?:src|href)="(?!data:)', html), 'it needs no other file'
    tiles = pictures(page)
    assert len(tiles) == 2 * (1 + 3)
    assert all(tile.shape == (320, 240, 3) for tile in tiles[::2])
    # Of the query's whole scene all but the blue box is the image.
    scene = cv2.resize(read_image(image), tiles[1].shape[1::-1], interpolation=cv2.INTER_AREA)
    assert (np.abs(tiles[1].astype(int) - scene) > 60).any(axis=2).mean() < 0.15


def test_thumbnails_stand_in_for_scenes_that_are_gone(
    gallery: Gallery, frames: Path, tmp_path: Path
) -> None:
    moved = tmp_path / 'elsewhere.jpg'
    image = frames / 'c1' / '3.jpg'
    box = box_in(gallery, image)
    shutil.move(image, moved)
    try:
        page = tmp_path / 'results.html'
        query = ('search', gallery.root, moved, '--box', *box, '--topk', 1)
        run(*query, '--source', '3.jpg', '--html', page)
    finally:
        shutil.move(moved, image)
    assert 'its scene is not there any more' in page.read_text()
    assert len(pictures(page)) == 4


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--box', 1, 1, 9, 9, '--person', 1], 'give --box or --person, not both'),
        (['--box', 9, 9, 1, 1], 'the box 9 9 1 1 is not'),
        (['--box', 1, 1, 9, 9, '--also', 'a.jpg:1,2,3'], 'a.jpg:1,2,3 is not IMAGE:X1,Y1,X2,Y2'),
        (['--box', 1, 1, 9, 9, '--also', 'a.jpg:1,2,3,4'], 'cannot be read: a.jpg'),
        (['--box', 1, 1, 9, 9, '--from', 'noon'], "'noon' is no time"),
        (['--box', 1, 1, 9, 9, '--source', 'b.jpg'], 'has nothing of b.jpg; it has'),
        (['--box', 1, 1, 9, 9, '--html', 'page.pdf'], 'page.pdf must end in .html'),
        (['--box', 1, 1, 9, 9, '--weights', 'none.pth'], 'no checkpoint file none.pth'),
        (['--box', 1, 1, 9, 9, '--index', 'faiss'], "'faiss' is no index"),
        (['--frame', 0], '0.jpg is no video: --frame is for videos'),
    ],
)
def test_wrong_calls(gallery: Gallery, frames: Path, options: list, message: str) -> None:
    assert message in error_of('search', gallery.root, frames / 'c0' / '0.jpg', *options)


def test_cameras_that_are_none(
    gallery: Gallery, frames: Path, inferencer: PersonSearchInferencer, tmp_path: Path
) -> None:
    image = frames / 'c0' / '0.jpg'
    query = ('search', gallery.root, image, '--box', 1, 1, 9, 9, '--camera', 'c0')
    assert error_of(*query, '--camera', 'c7').endswith('has no camera c7; it has c0, c1')
    many = Gallery.create(
        tmp_path / 'many',
        model_id=gallery.model_id,
        embed_dim=gallery.embed_dim,
        model=inferencer.origin,
    )
    query = ('search', many.root, *query[2:])
    assert error_of(*query).endswith('has no camera c0; it has none with a name')
    many_frames = [str(tmp_path / f'd{number:02}.jpg') for number in range(25)]
    for path in many_frames:
        shutil.copy(image, path)
    paths = find_sources(many_frames)
    index_sources(many, inferencer, paths, camera_pattern=r'(d\d+)', rows_per_shard=1)
    named = ', '.join(f'd{number:02}' for number in range(20))
    assert error_of(*query).endswith(f'has no camera c0; it has {named} ...')


def test_no_gallery_or_no_image(gallery: Gallery, tmp_path: Path) -> None:
    assert 'Make one: mmps index' in error_of('search', tmp_path, 'a.jpg')
    assert 'cannot be read: a.jpg' in error_of('search', gallery.root, 'a.jpg')


def test_another_model_is_refused_and_a_moved_one_asked_for(
    gallery: Gallery, frames: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    other = tmp_path / 'moved'
    shutil.copytree(gallery.root, other)
    about = (other / 'gallery.json').read_text()
    (other / 'gallery.json').write_text(about.replace(str(tiny_weights), '/gone.pth'))
    query = ('search', other, frames / 'c0' / '0.jpg', '--box', 1, 1, 9, 9)
    assert 'no checkpoint file /gone.pth' in (message := error_of(*query))
    assert 'say where it is now, by --weights' in message
    assert run_json(*query, '--weights', tiny_weights)['matches']
    (other / 'gallery.json').write_text(about.replace(gallery.model_id, 'f' * 32))
    assert f'was made with another model (id {"f" * 32})' in error_of(*query)


def test_calibrated_results_have_a_probability(
    gallery: Gallery, frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Half:
        def probability(self, similarities: np.ndarray) -> np.ndarray:
            return np.full(len(similarities), 0.5)

    monkeypatch.setattr(Calibration, 'load', lambda root, model_id: Half())
    image = frames / 'c1' / '1.jpg'
    query = ('search', gallery.root, image, '--box', *box_in(gallery, image), '--topk', 2)
    assert run(*query).stdout.count('50.0%') == 2
    assert {match['probability'] for match in run_json(*query)['matches']} == {0.5}


def test_images_are_searched_without_a_gallery(
    inferencer: PersonSearchInferencer, frames: Path, gallery: Gallery
) -> None:
    image = frames / 'c1' / '1.jpg'
    box = box_in(gallery, image)
    ranking = inferencer.search(image, box, frames / 'c1', topk=3)
    in_gallery = inferencer.search(image, box, gallery, topk=100)
    expected = [m for m in in_gallery if Path(m.source).parent.name == 'c1'][:3]
    assert [m.source for m in ranking] == [m.source for m in expected]
    arrays = ranking.as_arrays()
    np.testing.assert_allclose(arrays['bbox'], [m.bbox for m in expected], rtol=1e-4)
    np.testing.assert_allclose(arrays['similarity'], [m.similarity for m in expected], atol=1e-5)
    assert np.isnan(arrays['probability']).all()
    assert '"probability": null' in ranking.to_json()
    from_array = inferencer.search(image, box, [read_image(image)], topk=1)
    assert from_array[0].source == 'image 0'
    assert from_array.as_dicts()[0]['bbox'] == pytest.approx(box, rel=1e-4)
    with pytest.raises(ValueError, match='go with a gallery'):
        inferencer.search(image, box, frames / 'c1', group='image')


def test_paths_are_shown_as_seen_from_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert _shorter(str(tmp_path / 'a' / 'b.jpg')) == 'a/b.jpg'
    assert _shorter('/elsewhere/b.jpg') == '/elsewhere/b.jpg'


def pictures(page: Path) -> list[np.ndarray]:
    """The pictures in a page, BGR."""
    data = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page.read_text())
    return [
        cv2.imdecode(np.frombuffer(base64.b64decode(d), np.uint8), cv2.IMREAD_COLOR) for d in data
    ]
