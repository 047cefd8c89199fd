"""What every index must do, whatever library it is made of."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from index_rows import DIM, add_video, all_rows, expected, new_gallery, units

from mmps.gallery import Gallery, to_arrays
from mmps.index import FaissIndex, Filters, GalleryIndex
from mmps.index.left import what_is_left

KINDS = ('exact', 'ivf', 'milvus')
Open = Callable[[Gallery], GalleryIndex]


@pytest.fixture(params=KINDS)
def open_(request: pytest.FixtureRequest) -> Open:
    """Opens the index of a gallery as a new process would."""
    if request.param == 'milvus':
        uri = request.getfixturevalue('milvus')
        from mmps.index.milvus_index import MilvusIndex

        return lambda gallery: MilvusIndex(uri, gallery)
    return lambda gallery: FaissIndex(
        gallery.root / 'index', model_id='aa', embed_dim=DIM, kind=request.param
    )


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    gallery = new_gallery(tmp_path / 'gallery')
    add_video(gallery, '/a.mp4', camera='gate', time=100)
    add_video(gallery, '/b "quoted" \\.mp4', camera='yard', time=120)
    add_video(gallery, '/c.mp4')
    return gallery


QUERIES = units(np.random.default_rng(7), 3)


def check(index: GalleryIndex, gallery: Gallery, *, k: int = 10, **filters: Any) -> None:
    """Compare with the plain search of the gallery."""
    chosen = Filters(**filters) if filters else None
    similarities, ids = index.search(3 * QUERIES, k=k, filters=chosen)
    want_similarities, want_ids = expected(gallery, QUERIES, k=k, filters=chosen)
    assert (similarities.dtype, ids.dtype) == (np.float32, np.int64)
    if getattr(index, 'kind', 'exact') == 'ivf':  # may miss a few, but not lie about the others
        assert np.mean([np.isin(w, f).mean() for w, f in zip(want_ids, ids, strict=True)]) > 0.75
        want_ids, want_similarities = ids, similarities_of(gallery, ids)
    np.testing.assert_array_equal(ids, want_ids)
    np.testing.assert_allclose(similarities, want_similarities, atol=1e-6)


def similarities_of(gallery: Gallery, ids: np.ndarray) -> np.ndarray:
    """Of rows to the query of each line; -inf for -1."""
    rows = all_rows(gallery)
    embeddings = dict(
        zip(rows['row_id'].to_pylist(), to_arrays(rows['embedding']), strict=True)
    ) | {-1: np.full(DIM, np.nan)}
    found = np.array([[embeddings[i] for i in line] for line in ids.tolist()])
    return np.nan_to_num(np.einsum('qkd,qd->qk', found, QUERIES), nan=-np.inf)


def test_finds_the_most_similar_rows(open_: Open, gallery: Gallery) -> None:
    index = open_(gallery)
    index.sync(gallery)
    assert len(index) == 600
    check(index, gallery)


@pytest.mark.parametrize(
    'filters',
    [
        dict(cameras=('gate',)),
        dict(cameras=('gate', 'nowhere', '')),
        dict(sources=('/b "quoted" \\.mp4',)),
        dict(time=(110, 125)),
        dict(time=(-np.inf, np.inf)),
        dict(cameras=('yard',), sources=('/b "quoted" \\.mp4', '/c.mp4'), time=(121.5, 122)),
    ],
    ids=str,
)
def test_filters(open_: Open, gallery: Gallery, filters: dict[str, Any]) -> None:
    index = open_(gallery)
    index.sync(gallery)
    check(index, gallery, **filters)


def test_fewer_rows_than_asked_for(open_: Open, gallery: Gallery) -> None:
    index = open_(gallery)
    similarities, ids = index.search(QUERIES, k=4)
    assert (ids == -1).all()
    assert (similarities == -np.inf).all()
    index.sync(gallery)
    check(index, gallery, k=10, time=(103, 103))
    check(index, gallery, k=4, cameras=('nowhere',))
    check(index, gallery, k=700)


def test_follows_a_gallery(open_: Open, gallery: Gallery) -> None:
    index = open_(gallery)
    index.sync(gallery)
    add_video(gallery, '/a.mp4', frames=range(40, 60), camera='gate', time=100)
    add_video(gallery, '/d.mp4', camera='roof', persons=0)
    index.sync(gallery)
    assert len(index) == 700
    check(index, gallery)

    rows = all_rows(gallery)['row_id'].to_pylist()
    gallery.delete(row_ids=rows[::7])
    gallery.delete(sources=['/c.mp4'])
    index.sync(gallery)
    assert len(index) == len(all_rows(gallery)) < 520
    check(index, gallery)
    check(index, gallery, cameras=('gate',))
    index.sync(gallery)
    assert len(index) == len(all_rows(gallery))


def test_takes_up_where_it_was_left(open_: Open, gallery: Gallery) -> None:
    open_(gallery).sync(gallery)
    index = open_(gallery)
    assert len(index) == 600
    check(index, gallery, cameras=('yard', ''))
    add_video(gallery, '/d.mp4', camera='roof', time=0)
    gallery.delete(sources=['/a.mp4'])
    open_(gallery).sync(gallery)
    index = open_(gallery)
    assert len(index) == 600
    check(index, gallery)


def test_removes_rows_at_once(open_: Open, gallery: Gallery) -> None:
    index = open_(gallery)
    index.sync(gallery)
    gone = index.search(QUERIES, k=5)[1].ravel().tolist()
    index.remove([*gone, 12345])
    assert len(index) == 600 - len(set(gone))
    for opened in (index, open_(gallery)):
        assert not np.isin(opened.search(QUERIES, k=20)[1], gone).any()
    gallery.delete(row_ids=gone)
    for opened in (index, open_(gallery)):
        opened.sync(gallery)
        check(opened, gallery)


def test_what_is_left_of_deleted_rows_is_told(open_: Open, gallery: Gallery) -> None:
    index = open_(gallery)
    index.sync(gallery)
    gone = all_rows(gallery).slice(10, 2)
    embeddings, ids = to_arrays(gone['embedding']), gone['row_id'].to_pylist()
    gallery.delete(row_ids=ids)
    left = [f'row {row} in an index' for row in sorted(ids)]
    assert what_is_left(gallery, index, embeddings, ids) == ['600 rows in an index of 598', *left]
    index.sync(gallery)
    assert what_is_left(gallery, index, embeddings, ids) == []


def test_answers_while_the_gallery_grows(open_: Open, gallery: Gallery) -> None:
    index = open_(gallery)
    index.sync(gallery)
    problems: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                ids = index.search(QUERIES, k=10)[1]
                if (ids < 0).any():
                    problems.append('rows are missing')
            except Exception as error:
                problems.append(repr(error))

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    for i in range(4):
        add_video(gallery, f'/new{i}.mp4', camera='new')
        index.sync(gallery)
    done.set()
    for asker in askers:
        asker.join()
    assert problems == []
    check(index, gallery)


@pytest.mark.parametrize(
    ('queries', 'k', 'message'),
    [
        (np.ones((1, DIM + 1)), 1, f'has {DIM} dimensions'),
        (np.ones(DIM), 1, 'shape'),
        (np.zeros((1, DIM)), 1, 'zero or not finite'),
        (np.full((1, DIM), np.nan), 1, 'zero or not finite'),
        (np.ones((1, DIM)), 0, 'k must be at least 1'),
    ],
)
def test_refuses_bad_queries(
    open_: Open, gallery: Gallery, queries: np.ndarray, k: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        open_(gallery).search(queries, k=k)
