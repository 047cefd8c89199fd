"""What only the index of a Milvus server must do; all else is in test_index_contract.py."""

import multiprocessing
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from index_rows import DIM, add_video, all_rows, expected, new_gallery, units

from mmps.gallery import Gallery
from mmps.index import Filters, open_index, search_gallery

pymilvus = pytest.importorskip('pymilvus')

QUERIES = units(np.random.default_rng(7), 3)


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    gallery = new_gallery(tmp_path / 'gallery')
    add_video(gallery, '/a.mp4', camera='gate')
    return gallery


class Break(Exception):
    pass


def break_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a shard be written in messages of 70 rows, of which the second never comes."""
    monkeypatch.setattr('mmps.index.milvus_index._BATCH', 70)
    upsert = pymilvus.MilvusClient.upsert
    calls = []

    def breaking(self: Any, name: str, rows: list[dict]) -> None:
        calls.append(name)
        if sum(not call.endswith('_shards') for call in calls) == 2:
            raise Break
        upsert(self, name, rows)

    monkeypatch.setattr(pymilvus.MilvusClient, 'upsert', breaking)


def test_load_that_broke_off_is_completed(
    gallery: Gallery, milvus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patches:
        break_off(patches)
        with pytest.raises(Break):
            open_index(gallery, index=milvus)
    index = open_index(gallery, index=milvus)
    assert len(index) == 200
    np.testing.assert_array_equal(index.search(QUERIES, k=9)[1], expected(gallery, QUERIES, k=9)[1])


def test_load_that_broke_off_leaves_nothing_of_what_was_deleted(
    gallery: Gallery, milvus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = all_rows(gallery)['row_id'].to_pylist()
    with monkeypatch.context() as patches:
        break_off(patches)
        with pytest.raises(Break):
            open_index(gallery, index=milvus)
    gallery.delete(sources=['/a.mp4'])
    add_video(gallery, '/b.mp4', frames=range(10))
    index = open_index(gallery, index=milvus)
    assert len(index) == 50
    assert not np.isin(index.search(QUERIES, k=200)[1], gone).any()


def test_what_is_loaded_is_not_loaded_again(
    gallery: Gallery, milvus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_index(gallery, index=milvus)
    monkeypatch.setattr(Gallery, 'read', lambda *_: pytest.fail('a shard was read again'))
    assert len(open_index(gallery, index=milvus)) == 200


def test_each_gallery_has_its_own_collection(gallery: Gallery, milvus: str, tmp_path: Path) -> None:
    other = new_gallery(tmp_path / 'other')
    add_video(other, '/x.mp4', frames=range(4))
    assert len(open_index(gallery, index=milvus)) == 200
    assert len(open_index(other, index=milvus)) == 20
    (gallery.root).rename(tmp_path / 'moved')
    assert len(open_index(Gallery.open(tmp_path / 'moved'), index=milvus)) == 200


def test_schema(gallery: Gallery, milvus: str) -> None:
    open_index(gallery, index=milvus)
    client = pymilvus.MilvusClient(milvus)
    about = client.describe_collection(f'mmps_{gallery.gallery_id}')
    fields = {field['name']: field for field in about['fields']}
    assert fields['row_id']['is_primary']
    assert fields['camera']['is_partition_key']
    assert fields['embedding']['params'] == {'dim': DIM}
    index = client.describe_index(f'mmps_{gallery.gallery_id}', 'embedding')
    assert (index['index_type'], index['metric_type']) == ('HNSW', 'COSINE')


def test_searches_a_gallery(gallery: Gallery, milvus: str) -> None:
    add_video(gallery, '/b.mp4', camera='yard', noise=0.2)
    index = open_index(gallery, index=milvus)
    chosen = Filters(cameras=('yard',))
    for group in (None, 'image', 'track'):
        matches = search_gallery(gallery, index, QUERIES, topk=20, filters=chosen, group=group)
        local = search_gallery(
            gallery, open_index(gallery), QUERIES, topk=20, filters=chosen, group=group
        )
        assert len(matches) == (5 if group == 'track' else 20)
        assert [match.row_id for match in matches] == [match.row_id for match in local]


def test_asks_for_no_more_than_milvus_gives(
    gallery: Gallery, milvus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index(gallery, index=milvus)
    monkeypatch.setattr('mmps.index.milvus_index.MAX_K', 12)
    similarities, ids = index.search(QUERIES, k=20)
    np.testing.assert_array_equal(ids[:, :12], expected(gallery, QUERIES, k=12)[1])
    assert (ids[:, 12:] == -1).all()
    assert (similarities[:, 12:] == -np.inf).all()


def test_processes_that_are_forked_while_an_index_searches(gallery: Gallery, milvus: str) -> None:
    """Such as workers of a data loader; gRPC's own handling of forks ends them or hangs."""
    index = open_index(gallery, index=milvus)
    ended = threading.Event()

    def search_on() -> None:
        while not ended.is_set():
            index.search(QUERIES, k=3)

    searching = threading.Thread(target=search_on)
    searching.start()
    children = []
    for _ in range(20):
        child = multiprocessing.get_context('fork').Process(target=sum, args=([1, 2],))
        child.start()
        children.append(child)
    for child in children:
        child.join(30)
        child.kill()
    ended.set()
    searching.join()
    assert [child.exitcode for child in children] == [0] * 20
