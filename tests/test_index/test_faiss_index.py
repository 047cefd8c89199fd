import json
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from index_rows import DIM, add_video, all_rows, expected, new_gallery, units

from mmps.gallery import Gallery, to_arrays
from mmps.index import FaissIndex, Filters
from mmps.index.inverted import InvertedRows

QUERIES = units(np.random.default_rng(7), 20)


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    gallery = new_gallery(tmp_path / 'gallery')
    for i in range(5):
        add_video(gallery, f'/{i}.mp4', persons=10, camera=f'c{i}', time=1000 * i)
    return gallery


def open_(gallery: Gallery, **arguments: Any) -> FaissIndex:
    return FaissIndex(gallery.root / 'index', model_id='aa', embed_dim=DIM, **arguments)


def check(index: FaissIndex, gallery: Gallery) -> None:
    similarities, ids = index.search(QUERIES, k=5)
    want_similarities, want_ids = expected(gallery, QUERIES, k=5)
    assert len(index) == len(all_rows(gallery))
    assert recall(ids, want_ids) > (0.9 if index.kind == 'ivf' else 0.999)
    found = ids == want_ids
    np.testing.assert_allclose(similarities[found], want_similarities[found], atol=1e-6)


def recall(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.mean([np.isin(w, f).mean() for w, f in zip(wanted, found, strict=True)]))


def test_kind_goes_by_the_number_of_rows(gallery: Gallery) -> None:
    index = open_(gallery, exact_up_to=2000)
    index.sync(gallery)
    assert index.kind == 'exact'
    add_video(gallery, '/more.mp4')
    index.sync(gallery)
    assert index.kind == 'ivf'
    check(index, gallery)
    gallery.delete(sources=['/more.mp4'])
    index.sync(gallery)
    assert index.kind == 'ivf'  # not to and fro
    gallery.delete(sources=['/0.mp4', '/1.mp4', '/2.mp4'])
    index.sync(gallery)
    assert index.kind == 'exact'
    check(index, gallery)
    with pytest.raises(ValueError, match='flat'):
        open_(gallery, kind='flat')


def test_inverted_file_visits_few_lists_and_still_finds(tmp_path: Path) -> None:
    gallery = new_gallery(tmp_path / 'gallery')
    for i in range(20):
        add_video(gallery, f'/{i}.mp4', persons=10, noise=0.5, camera=f'c{i}')
    index = open_(gallery, kind='ivf')
    index.sync(gallery)
    assert isinstance(index._rows, InvertedRows)
    assert index._rows.visit < 0.5 * index._rows._index.nlist
    embeddings = to_arrays(all_rows(gallery)['embedding'])[::40]
    queries = embeddings + 0.5 * units(np.random.default_rng(1), len(embeddings))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    similarities, ids = index.search(queries, k=10)
    want_similarities, want_ids = expected(gallery, queries, k=10)
    assert recall(ids, want_ids) >= 0.97
    same = ids == want_ids
    # Far below what a byte for each dimension can tell: they are of the embeddings themselves.
    np.testing.assert_allclose(similarities[same], want_similarities[same], atol=1e-6)
    rare = Filters(cameras=('c3',))
    want_ids = expected(gallery, queries, k=10, filters=rare)[1]
    assert recall(index.search(queries, k=10, filters=rare)[1], want_ids) >= 0.995


@pytest.mark.parametrize('kind', ['exact', 'ivf'])
def test_nothing_is_made_anew_for_a_few_rows(
    gallery: Gallery, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_(gallery, kind=kind).sync(gallery)
    monkeypatch.setattr(InvertedRows, 'build', lambda *_: pytest.fail('made anew'))
    read: list[str] = []
    whole = Gallery.read
    monkeypatch.setattr(
        Gallery, 'read', lambda self, path, *a: read.append(path) or whole(self, path, *a)
    )
    new = add_video(gallery, '/new.mp4', frames=range(3))
    for _ in range(2):  # so few rows are not written at once, yet not forgotten
        index = open_(gallery, kind=kind)
        index.sync(gallery)
        assert len(index) == 2015
    assert read == [new]
    gallery.delete(sources=['/2.mp4'])
    index.sync(gallery)
    for opened in (index, open_(gallery, kind=kind)):
        opened.sync(gallery)
        check(opened, gallery)


def test_inverted_file_is_made_anew_when_outgrown(gallery: Gallery) -> None:
    index = open_(gallery, kind='ivf')
    index.sync(gallery)
    assert isinstance(index._rows, InvertedRows)
    lists = index._rows._index.nlist
    for i in range(16):
        add_video(gallery, f'/new{i}.mp4', persons=10)
    index.sync(gallery)
    assert index._rows.built == 8400
    assert index._rows._index.nlist > 2 * lists
    check(index, gallery)


@pytest.mark.parametrize('kind', ['exact', 'ivf'])
def test_deleted_embeddings_are_in_no_file(gallery: Gallery, kind: str) -> None:
    index = open_(gallery, kind=kind)
    index.sync(gallery)
    rows = all_rows(gallery)
    gone = [5, 700, 1999]
    secrets = [to_arrays(rows['embedding'])[row].tobytes() for row in gone]
    assert count_in_files(index, secrets) == 3
    ids = rows['row_id'].take(gone).to_pylist()
    index.remove(ids[:1])
    assert count_in_files(index, secrets) == 2
    gallery.delete(row_ids=ids)
    index.sync(gallery)
    assert count_in_files(index, secrets) == 0
    files = list((gallery.root / 'index').glob('*.ivf'))
    assert len(files) == (kind == 'ivf')
    for file in files:
        assert faiss.read_index(str(file)).ntotal == 1997
    check(index, gallery)


def count_in_files(index: FaissIndex, secrets: list[bytes]) -> int:
    files = [path.read_bytes() for path in index._folder.rglob('*') if path.is_file()]
    return sum(any(secret in file for file in files) for secret in secrets)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _other_format(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {'format': 0}))


@pytest.mark.parametrize(
    ('files', 'damage'),
    [
        ('state.json', _cut),
        ('state.json', Path.unlink),
        ('state.json', _other_format),
        ('*.ivf', _cut),
        ('*.ivf', Path.unlink),
        ('segments/*.arrow', _cut),
        ('segments/*.arrow', Path.unlink),
    ],
)
@pytest.mark.parametrize('kind', ['exact', 'ivf'])
def test_damaged_files_are_made_anew(gallery: Gallery, files: str, damage: Any, kind: str) -> None:
    open_(gallery, kind=kind).sync(gallery)
    for path in sorted((gallery.root / 'index').glob(files))[:2]:
        damage(path)
    for _ in range(2):
        index = open_(gallery, kind=kind)
        index.sync(gallery)
        check(index, gallery)
    assert len(open_(gallery, kind=kind)) == 2000


def test_index_of_another_model_is_not_taken(gallery: Gallery) -> None:
    open_(gallery).sync(gallery)
    assert len(open_(gallery)) == 2000
    assert len(FaissIndex(gallery.root / 'index', model_id='bb', embed_dim=DIM)) == 0


@pytest.mark.parametrize('kind', ['exact', 'ivf'])
def test_two_processes_share_a_folder(gallery: Gallery, kind: str) -> None:
    server, other = open_(gallery, kind=kind), open_(gallery, kind=kind)
    server.sync(gallery)
    other.sync(gallery)
    gallery.delete(sources=['/1.mp4'])
    other.sync(gallery)
    server.search(QUERIES, k=3)  # its files are gone, what it has of them is not
    for source in ('/x.mp4', '/y.mp4'):
        add_video(gallery, source)
        server.sync(gallery)
        check(server, gallery)
        last = open_(gallery, kind=kind)
        last.sync(gallery)
        check(last, gallery)


def test_gpu_build_of_faiss_is_used(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    """With clones in place of GPUs: that they are asked, and asked anew when rows change."""
    copies = []

    def copy(index: Any) -> Any:
        copies.append(faiss.clone_index(index))
        return copies[-1]

    monkeypatch.setattr(faiss, 'get_num_gpus', lambda: 1)
    monkeypatch.setattr(faiss, 'index_cpu_to_all_gpus', copy, raising=False)
    index = open_(gallery)
    index.sync(gallery)
    check(index, gallery)
    check(index, gallery)
    index.search(QUERIES, k=2, filters=Filters(cameras=('c1',)))
    assert [copied.ntotal for copied in copies] == [2000]
    gallery.delete(sources=['/1.mp4'])
    index.sync(gallery)
    check(index, gallery)
    assert [copied.ntotal for copied in copies] == [2000, 1600]
