import math
from pathlib import Path

import numpy as np
import pytest
from index_rows import DIM, add_video, all_rows, expected, new_gallery, units

from mmps.calibration import calibrate
from mmps.gallery import Gallery, to_arrays
from mmps.index import FaissIndex, Filters, open_index, search_gallery


@pytest.fixture(scope='module')
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """Three videos; do not change it."""
    gallery = new_gallery(tmp_path_factory.mktemp('search') / 'gallery')
    add_video(gallery, '/a.mp4', camera='gate', time=100, noise=0.3)
    add_video(gallery, '/b.mp4', camera='yard', time=0, noise=0.3)
    add_video(gallery, '/c.mp4', noise=0.3)
    return gallery


def query_of(gallery: Gallery, row: int) -> np.ndarray:
    return to_arrays(all_rows(gallery)['embedding'])[[row]]


def test_matches_are_rows_of_the_gallery(gallery: Gallery) -> None:
    query = query_of(gallery, 17)
    matches = search_gallery(gallery, open_index(gallery), query, topk=30)
    similarities, ids = expected(gallery, query, k=30)
    assert [match.row_id for match in matches] == ids[0].tolist()
    np.testing.assert_allclose([match.similarity for match in matches], similarities[0], atol=1e-6)
    rows = {row['row_id']: row for row in all_rows(gallery).to_pylist()}
    tracks = gallery.metadata()
    tracks = dict(zip(tracks['row_id'].to_pylist(), tracks['track'].to_pylist(), strict=True))
    for match in matches:
        row = rows[match.row_id]
        assert (match.source, match.frame, match.camera, match.score) == (
            row['source'],
            row['frame'],
            row['camera'],
            row['score'],
        )
        assert match.time == row['time'] or (math.isnan(match.time) and match.source == '/c.mp4')
        assert match.bbox == tuple(row['bbox'])
        assert match.track == tracks[match.row_id]
        assert match.probability is None
    assert len({match.track for match in matches}) < 30


def test_filters_are_passed_on(gallery: Gallery) -> None:
    chosen = Filters(cameras=('gate', 'yard'), time=(30, 110))
    matches = search_gallery(
        gallery, open_index(gallery), query_of(gallery, 17), topk=200, filters=chosen
    )
    ids = expected(gallery, query_of(gallery, 17), k=200, filters=chosen)[1][0]
    assert [match.row_id for match in matches] == ids[ids >= 0].tolist()
    assert len(matches) == 5 * (11 + 10)


def test_several_queries_of_one_person_count_alike(gallery: Gallery) -> None:
    queries = units(np.random.default_rng(3), 3)
    matches = search_gallery(gallery, open_index(gallery), 2 * queries, topk=600)
    rows = all_rows(gallery)
    cosines = (to_arrays(rows['embedding']) @ queries.T).mean(axis=1)
    order = np.argsort(-cosines)
    assert [match.row_id for match in matches] == rows['row_id'].to_numpy()[order].tolist()
    np.testing.assert_allclose([match.similarity for match in matches], cosines[order], atol=1e-6)


@pytest.mark.parametrize('group', ['track', 'image'])
@pytest.mark.parametrize('filters', [None, Filters(sources=('/a.mp4', '/b.mp4'))])
def test_groups_show_their_best(gallery: Gallery, group: str, filters: Filters | None) -> None:
    query = query_of(gallery, 17)
    index = open_index(gallery)
    ranked = search_gallery(gallery, index, query, topk=600, filters=filters)
    best: dict[object, int] = {}
    for match in ranked:
        key = match.track if group == 'track' else (match.source, match.frame)
        best.setdefault(key, match.row_id)
    # A track has 40 rows: more than are asked for at first must be looked through.
    for topk in (8, 1000):
        matches = search_gallery(gallery, index, query, topk=topk, filters=filters, group=group)
        assert [match.row_id for match in matches] == list(best.values())[:topk]
    if group == 'track':
        assert len(best) == (15 if filters is None else 10)


def test_persons_of_images_are_on_no_track(tmp_path: Path) -> None:
    gallery = new_gallery(tmp_path)
    for i in range(4):
        add_video(gallery, f'/{i}.jpg', frames=range(1), noise=0)
    matches = search_gallery(
        gallery, open_index(gallery), units(np.random.default_rng(0), 1), topk=20, group='track'
    )
    assert [match.track for match in matches] == [-1] * 20


def test_probability_is_that_of_the_calibration(tmp_path: Path) -> None:
    gallery = new_gallery(tmp_path)
    add_video(gallery, '/a.mp4')
    rng = np.random.default_rng(0)
    same = rng.random(2000) < 0.5
    calibration = calibrate(
        np.clip(0.4 * same + rng.normal(0.1, 0.2, 2000), -1, 1),
        same,
        false_alarm_rate=0.01,
        model_id='aa',
    )
    calibration.save(gallery.root)
    matches = search_gallery(gallery, open_index(gallery), query_of(gallery, 3), topk=50)
    wanted = calibration.probability(np.array([match.similarity for match in matches]))
    np.testing.assert_allclose([match.probability for match in matches], wanted)
    assert wanted[0] > wanted[-1]


def test_rows_deleted_meanwhile_are_not_shown(tmp_path: Path) -> None:
    gallery = new_gallery(tmp_path)
    add_video(gallery, '/a.mp4')
    add_video(gallery, '/b.mp4')
    index = open_index(gallery)
    query = query_of(gallery, 0)
    assert len(search_gallery(gallery, index, query, topk=400)) == 400
    Gallery.open(tmp_path).delete(sources=['/a.mp4'])
    matches = search_gallery(gallery, index, query, topk=400)
    assert {match.source for match in matches} == {'/b.mp4'}
    assert len(matches) == 200


def test_mistakes_are_named(gallery: Gallery) -> None:
    index = open_index(gallery)
    query = query_of(gallery, 0)
    with pytest.raises(ValueError, match='topk must be at least 1: 0'):
        search_gallery(gallery, index, query, topk=0)
    with pytest.raises(ValueError, match="group must be None, 'track' or 'image': 'person'"):
        search_gallery(gallery, index, query, group='person')
    with pytest.raises(ValueError, match='no query'):
        search_gallery(gallery, index, np.zeros((0, DIM), dtype=np.float32))
    with pytest.raises(ValueError, match='opposite'):
        search_gallery(gallery, index, np.concatenate([query, -query]))
    with pytest.raises(ValueError, match=f'has {DIM} dimensions'):
        search_gallery(gallery, index, np.ones((1, 5), dtype=np.float32))


def test_open_index_names_what_it_cannot_open(gallery: Gallery) -> None:
    assert isinstance(open_index(gallery), FaissIndex)
    assert len(FaissIndex(gallery.root / 'index', model_id='aa', embed_dim=DIM)) == 600
    with pytest.raises(ValueError, match=r"'milvus\.db' is no index"):
        open_index(gallery, index='milvus.db')
    pytest.importorskip('pymilvus')
    with pytest.raises(ConnectionError, match=r'Milvus at http://127\.0\.0\.1:9: .*Is it running'):
        open_index(gallery, index='http://127.0.0.1:9')


@pytest.mark.parametrize(
    'arguments',
    [
        dict(cameras='gate'),
        dict(cameras=()),
        dict(sources=()),
        dict(time=(2, 1)),
        dict(time=(math.nan, 1)),
    ],
    ids=str,
)
def test_filters_that_make_no_sense(arguments: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Filters(**arguments)
