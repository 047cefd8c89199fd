import json
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gallery_rows import DIM, add_frames, frames, new_gallery, random_rows

from mmps.gallery import (
    Coverage,
    Gallery,
    SourceEnd,
    make_rows,
    row_id,
    shard_version,
    to_arrays,
    track_cache,
)


def test_rows_come_back_as_appended_and_in_the_order_asked(tmp_path: Path) -> None:
    gallery = new_gallery(tmp_path / 'g')
    first = random_rows('a.mp4', 0, 300, time=12.5, camera='door')  # more than a group of rows
    second = random_rows('b.jpg', 0, 3, time=7.0)  # NaN would equal nothing
    shard = gallery.append(first, {'a.mp4': frames(0)})
    gallery.append(second, {'b.jpg': frames(0)})

    reopened = Gallery.open(tmp_path / 'g')

    assert reopened.model == {'model': 'seqnet_r50_prw', 'weights': 'epoch_20.pth'}
    assert (reopened.model_id, reopened.embed_dim) == ('aa', DIM)
    assert reopened.read(shard) == first
    asked = [row_id('b.jpg', 0, 2), *(row_id('a.mp4', 0, n) for n in (299, 3, 256, 3))]
    expected = pa.concat_tables([first, second]).take(pa.array([302, 299, 3, 256, 3]))
    assert reopened.rows(asked) == expected.combine_chunks()
    assert reopened.rows(asked, ['camera', 'score']) == expected.select(['camera', 'score'])
    assert reopened.rows([]).schema == expected.schema
    assert 'embedding' not in reopened.metadata().column_names
    assert sorted(reopened.metadata()['row_id'].to_pylist()) == sorted(
        pa.concat_tables([first, second])['row_id'].to_pylist()
    )


def test_ids_of_rows_are_those_of_the_published_rule() -> None:
    # printf 'cam/a.mp4\0007\0002' | sha256sum
    assert row_id('cam/a.mp4', 7, 2) == 0x0D1235C200FF18DC >> 1


def test_unknown_row_and_no_gallery_are_named(tmp_path: Path) -> None:
    gallery = new_gallery(tmp_path / 'g')
    add_frames(gallery, 'a', [0])
    with pytest.raises(KeyError, match=r'no row \[5\]'):
        gallery.rows([row_id('a', 0, 1), 5])
    with pytest.raises(ValueError, match=r'none: no gallery .* mmps index SOURCES'):
        Gallery.open(tmp_path / 'none')
    about = json.loads((tmp_path / 'g' / 'gallery.json').read_bytes())
    (tmp_path / 'g' / 'gallery.json').write_text(json.dumps(about | {'format': 99}))
    with pytest.raises(ValueError, match='format 99'):
        Gallery.open(tmp_path / 'g')
    (tmp_path / 'g' / 'gallery.json').write_text('{')
    with pytest.raises(ValueError, match=r'gallery\.json: damaged'):
        Gallery.open(tmp_path / 'g')


def test_another_model_is_refused(tmp_path: Path) -> None:
    new_gallery(tmp_path)
    assert new_gallery(tmp_path).model_id == 'aa'
    with pytest.raises(ValueError, match=r'another model .*id aa.*id bb.*another folder'):
        new_gallery(tmp_path, model_id='bb')
    foreign = new_gallery(tmp_path / 'foreign', model_id='cc')
    add_frames(foreign, 'a', [0]).rename(tmp_path / 'shards.parquet')
    (tmp_path / 'shards').mkdir()
    (tmp_path / 'shards.parquet').rename(tmp_path / 'shards' / 'x.parquet')
    with pytest.raises(ValueError, match=r'x\.parquet: made with another model \(id cc\)'):
        Gallery.open(tmp_path).coverage()


def test_sources_count_frames_also_empty_ones(tmp_path: Path) -> None:
    gallery = new_gallery(tmp_path)
    nobody = random_rows('b', 0, 0)
    add_frames(gallery, 'a', [0, 5, 10], persons=3)
    add_frames(gallery, 'a', [15], persons=1)
    end = SourceEnd(frames=21, size=1000, problem='breaks off')
    gallery.append(nobody, {'a': Coverage(frozenset({20}), end), 'b': frames(0)})
    status = {s.source: (s.frames, s.persons, s.end) for s in gallery.sources()}
    assert status == {'a': (5, 10, end), 'b': (1, 0, None)}
    assert gallery.coverage()['a'].frames == {0, 5, 10, 15, 20}


def test_frames_that_are_there_are_not_doubled(tmp_path: Path) -> None:
    gallery, other = new_gallery(tmp_path), new_gallery(tmp_path)
    add_frames(gallery, 'a', [0, 1])
    add_frames(other, 'a', [1, 2])  # opened before, and does not know of the first
    assert other.append(random_rows('a', 2, 2), {'a': frames(2)}) is None
    assert gallery.metadata().num_rows == 6
    assert sorted(gallery.metadata()['frame'].to_pylist()) == [0, 0, 1, 1, 2, 2]


def test_bad_rows_are_refused_and_write_nothing(tmp_path: Path) -> None:
    gallery = new_gallery(tmp_path)
    rows = random_rows('a', 0, 2)
    with pytest.raises(ValueError, match='frame 0 of a, not in `covered`'):
        gallery.append(rows, {'a': frames(1)})
    with pytest.raises(ValueError, match='embeddings of length 8'):
        gallery.append(rows.drop_columns('score'), {'a': frames(0)})
    assert gallery.shards() == []


def test_an_empty_gallery_has_the_columns_of_a_full_one(tmp_path: Path) -> None:
    empty, full = new_gallery(tmp_path / 'empty'), new_gallery(tmp_path / 'full')
    add_frames(full, 'a', [0])
    assert empty.metadata().schema == full.metadata().schema
    assert (
        empty.rows([], ['track', 'bbox']).schema == full.metadata().select(['track', 'bbox']).schema
    )
    assert empty.sources() == []


def test_threads_share_a_gallery(tmp_path: Path) -> None:
    """Read by many while shards come and go; everybody sees whole states of it."""
    gallery = new_gallery(tmp_path)
    add_frames(gallery, 'a', range(3))
    stay = gallery.metadata()['row_id'].to_pylist()
    stop = threading.Event()

    def read() -> int:
        count = 0
        while not stop.is_set():
            asked = stay[count % 3 :]
            assert gallery.rows(asked, ['row_id', 'track'])['row_id'].to_pylist() == asked
            rows = gallery.metadata()
            assert {*stay} <= {*rows['row_id'].to_pylist()}
            assert gallery.coverage()['a'].frames >= {0, 1, 2}
            count += 1
        return count

    with ThreadPoolExecutor() as threads:
        readers = [threads.submit(read) for _ in range(4)]
        for frame in range(3, 9):
            add_frames(gallery, 'a', [frame])
            gallery.delete(row_ids=[row_id('a', frame, 1)])
        add_frames(gallery, 'b', [0])
        gallery.delete(sources=['b'])
        stop.set()
        assert all(reader.result() > 0 for reader in readers)
    assert gallery.metadata().num_rows == 6 + 6


def test_damaged_shard_is_named(tmp_path: Path) -> None:
    gallery = new_gallery(tmp_path)
    shard = add_frames(gallery, 'a', [0])
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(ValueError, match=rf'{shard.name}: no shard of a gallery, or damaged'):
        gallery.coverage()


def test_strays_of_dead_writers_are_cleaned(tmp_path: Path) -> None:
    gallery = new_gallery(tmp_path)
    shard = add_frames(gallery, 'a', [0])
    stray = shard.with_name('1.parquetabc.tmp')
    stray.write_bytes(b'half')
    assert gallery.shards() == [shard]
    add_frames(gallery, 'a', [1])
    assert not stray.exists()


def test_many_writers_at_once(tmp_path: Path) -> None:
    """Each of three processes adds ten shards, of which every frame is another's too."""
    gallery = new_gallery(tmp_path)
    context = multiprocessing.get_context('fork')
    writers = [context.Process(target=_write_ten, args=(tmp_path, n)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    rows = gallery.metadata()
    assert sorted(rows['frame'].to_pylist()) == [f for f in range(12) for _ in range(2)]
    assert len(set(rows['row_id'].to_pylist())) == 24
    assert gallery.coverage()['a'].frames == set(range(12))


def _write_ten(root: Path, number: int) -> None:
    gallery = new_gallery(root)
    for frame in range(number, number + 10):
        gallery.append(random_rows('a', frame, 2), {'a': frames(frame)})


def test_version_of_a_shard_changes_with_its_content(tmp_path: Path) -> None:
    gallery = new_gallery(tmp_path)
    shard = add_frames(gallery, 'a', [0])
    before = shard_version(shard)
    assert shard_version(shard) == before
    shard.write_bytes(add_frames(gallery, 'b', [0, 1]).read_bytes())
    assert shard_version(shard) != before


def test_thumbnails_are_the_crops(tmp_path: Path) -> None:
    image = np.zeros((400, 300, 3), np.uint8)
    image[:, 150:] = (0, 0, 255)
    boxes = np.array([[100, 50, 200, 306], [-5, -5, 20, 40], [299.5, 399.5, 500, 500]], np.float32)
    rows = make_rows(
        'a.jpg',
        0,
        image=image,
        bboxes=boxes,
        scores=np.ones(3, np.float32),
        embeddings=np.eye(3, DIM, dtype=np.float32),
    )
    crops = [
        cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        for jpeg in rows['thumbnail'].to_pylist()
    ]
    assert [crop.shape for crop in crops] == [(128, 50, 3), (40, 20, 3), (1, 1, 3)]
    assert crops[0][:, :20].max() < 40
    assert crops[0][:, 30:, 2].min() > 200
    assert rows['image_width'].to_pylist() == [300] * 3
    assert np.isnan(rows['time'].to_numpy()).all()
    np.testing.assert_array_equal(to_arrays(rows['bbox']), boxes)
    np.testing.assert_array_equal(to_arrays(rows['embedding']), np.eye(3, DIM))


def test_bytes_of_a_person_can_be_found_in_the_files(tmp_path: Path) -> None:
    """What the proof of a deletion rests on."""
    gallery = new_gallery(tmp_path)
    rows = random_rows('a', 0, 700)
    content = gallery.append(rows, {'a': frames(0)}).read_bytes()
    for embedding in to_arrays(rows['embedding']):
        assert embedding.tobytes() in content
    for jpeg in rows['thumbnail'].to_pylist():
        assert jpeg in content


def test_a_shard_is_read_as_it_was_when_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may put another in its place at any moment."""
    gallery = new_gallery(tmp_path)
    shard = add_frames(gallery, 'a', [0])
    row_ids = gallery.metadata()['row_id'].to_pylist()
    read_table = pq.read_table

    def replaced_before(source, **options):
        other = tmp_path / 'other'
        other.write_bytes(b'another')
        other.replace(shard)
        return read_table(source, **options)

    monkeypatch.setattr(pq, 'read_table', replaced_before)
    assert track_cache._read('a', [shard])['row_id'].to_pylist() == row_ids
