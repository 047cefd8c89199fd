import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from footage import make_image, make_video, number_in
from gallery_rows import DIM, add_frames, frames, new_gallery, random_rows

from mmps.gallery import Gallery, UnreadableError, row_id, to_arrays
from mmps.gallery.byte_search import PieceFinder, piece_of_embedding, piece_of_thumbnail


def filled(root: Path) -> Gallery:
    """Two videos in three shards, and an image in one of its own."""
    gallery = new_gallery(root)
    add_frames(gallery, 'a.mp4', [0, 1, 2])
    both = [random_rows('a.mp4', 3, 2), random_rows('b.mp4', 0, 2)]
    gallery.append(pa.concat_tables(both), {'a.mp4': frames(3), 'b.mp4': frames(0)})
    add_frames(gallery, 'b.mp4', [1, 2])
    add_frames(gallery, 'c.jpg', [0])
    gallery.metadata()  # keeps tracks
    return gallery


def is_in_files(root: Path, rows: pa.Table) -> list[bool]:
    content = b''.join(path.read_bytes() for path in root.rglob('*') if path.is_file())
    return [
        embedding.tobytes() in content or thumbnail in content
        for embedding, thumbnail in zip(
            to_arrays(rows['embedding']), rows['thumbnail'].to_pylist(), strict=True
        )
    ]


def test_rows_are_gone_and_their_frames_stay_searched(tmp_path: Path) -> None:
    gallery = filled(tmp_path)
    everything = gallery.metadata()['row_id'].to_pylist()
    going = [row_id('a.mp4', 1, 0), row_id('a.mp4', 3, 1), row_id('b.mp4', 0, 0)]
    rows = gallery.rows(going)
    staying = gallery.rows([row for row in everything if row not in going])
    covered = gallery.coverage()
    untouched = {path: path.stat().st_mtime_ns for path in gallery.shards()}
    assert all(is_in_files(tmp_path, rows))

    report = gallery.delete(row_ids=going)

    assert not any(is_in_files(tmp_path, rows))
    assert all(is_in_files(tmp_path, staying))
    for seen in (gallery, Gallery.open(tmp_path)):
        assert sorted(seen.metadata()['row_id'].to_pylist()) == sorted(
            staying['row_id'].to_pylist()
        )
        assert seen.coverage() == covered
        assert seen.rows(staying['row_id'].to_pylist()).drop_columns('time') == (
            staying.drop_columns('time')
        )
        with pytest.raises(KeyError):
            seen.rows(going[:1])
    assert (report.row_ids, report.sources) == (sorted(going), [])
    assert (report.shards_rewritten, report.shards_removed) == (2, 0)
    assert (report.rows_read, report.left_in, report.copies) == (16 - 3, [], [])
    assert sum(untouched[path] == path.stat().st_mtime_ns for path in gallery.shards()) == 2
    made_since = tmp_path / 'tracks'
    files = [p for p in tmp_path.rglob('*') if p.is_file() and p.parent != made_since]
    assert report.files_searched == len(files)
    assert report.bytes_searched == sum(path.stat().st_size for path in files)
    assert not gallery.deletion_is_pending()
    # Indexed again, the frame counts as searched.
    assert gallery.append(random_rows('a.mp4', 1, 2), {'a.mp4': frames(1)}) is None


def test_sources_are_gone_as_if_never_searched(tmp_path: Path) -> None:
    gallery = filled(tmp_path)
    rows = gallery.rows([row_id('b.mp4', f, n) for f in range(3) for n in range(2)])
    report = gallery.delete(sources=['b.mp4'])
    assert gallery.coverage().keys() == {'a.mp4', 'c.jpg'}
    assert not any(is_in_files(tmp_path, rows))
    assert (report.shards_rewritten, report.shards_removed) == (1, 1)
    assert report.row_ids == sorted(rows['row_id'].to_pylist())
    content = b''.join(path.read_bytes() for path in tmp_path.rglob('*') if path.is_file())
    assert b'b.mp4' not in content
    assert b'a.mp4' in content
    gallery.append(random_rows('b.mp4', 1, 2), {'b.mp4': frames(1)})
    assert gallery.coverage()['b.mp4'].frames == {1}


def test_unknown_rows_and_sources_delete_nothing(tmp_path: Path) -> None:
    gallery = filled(tmp_path)
    before = gallery.metadata()['row_id'].to_pylist()
    with pytest.raises(KeyError, match=r'not in the gallery: \[7\]'):
        gallery.delete(row_ids=[row_id('c.jpg', 0, 0), 7])
    with pytest.raises(KeyError, match=r'x\.mp4'):
        gallery.delete(sources=['c.jpg', 'x.mp4'])
    assert gallery.metadata()['row_id'].to_pylist() == before
    assert not gallery.deletion_is_pending()


def test_bytes_that_an_index_keeps_are_found(tmp_path: Path) -> None:
    gallery = filled(tmp_path)
    going = row_id('c.jpg', 0, 0)
    embedding = to_arrays(gallery.rows([going], ['embedding'])['embedding'])
    index = tmp_path / 'index' / 'part.npy'
    index.parent.mkdir()
    np.save(index, np.vstack([np.ones((3, DIM), 'f4'), embedding]))
    asked = []
    report = gallery.delete(row_ids=[going], index=asked.append)
    assert asked == [[going]]
    assert report.left_in == [str(index)]


def test_an_index_is_told_before_the_files_are_searched(tmp_path: Path) -> None:
    gallery = filled(tmp_path)
    going = row_id('c.jpg', 0, 0)
    index = tmp_path / 'index.npy'
    np.save(index, to_arrays(gallery.rows([going], ['embedding'])['embedding']))
    report = gallery.delete(row_ids=[going], index=lambda row_ids: index.unlink())
    assert report.left_in == []


def test_copies_of_a_person_are_reported(tmp_path: Path) -> None:
    """The same file under two names: its other rows stay, and are no proof of a failure."""
    gallery = filled(tmp_path)
    rows = random_rows('one.jpg', 0, 2)
    gallery.append(rows, {'one.jpg': frames(0)})
    ids = [row_id('two.jpg', 0, n) for n in range(2)]
    copy = rows.set_column(0, rows.schema.field(0), pa.array(ids))
    copy = copy.set_column(1, rows.schema.field(1), pa.array(['two.jpg'] * 2))
    gallery.append(copy, {'two.jpg': frames(0)})
    report = gallery.delete(row_ids=[row_id('one.jpg', 0, 1)])
    assert (report.copies, report.left_in) == ([ids[1]], [])
    assert gallery.delete(sources=['one.jpg', 'two.jpg']).copies == []


def delete_until_killed(root: Path, moment: int) -> None:
    """Kill this process at the n-th file that is replaced or removed."""
    left = [moment]

    def counted(function):
        def run(*args, **kwargs):
            result = function(*args, **kwargs)
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return run

    os.replace, os.unlink = counted(os.replace), counted(os.unlink)
    Path.unlink = counted(Path.unlink)
    Gallery.open(root).delete(row_ids=[row_id('a.mp4', 1, 0)], sources=['b.mp4'])


def test_killed_at_any_moment_and_finished_by_the_next(tmp_path: Path) -> None:
    context = multiprocessing.get_context('fork')
    gone = filled(tmp_path / 'whole').rows(
        [row_id('a.mp4', 1, 0), *(row_id('b.mp4', f, n) for f in range(3) for n in range(2))]
    )
    for moment in range(1, 20):
        root = shutil.copytree(tmp_path / 'whole', tmp_path / str(moment))
        process = context.Process(target=delete_until_killed, args=(root, moment))
        process.start()
        process.join()
        left = Gallery.open(root)
        assert left.rows([row_id('a.mp4', 0, 0)]).num_rows == 1  # a whole gallery
        left.sources()
        report = left.delete()
        assert not any(is_in_files(root, gone))
        assert left.metadata().num_rows == 16 - 7
        assert report.left_in == []
        assert not left.deletion_is_pending()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert 5 <= moment < 19


def test_a_broken_off_deletion_says_what_to_search_for(tmp_path: Path) -> None:
    """What was removed before the kill is looked for by the run that finishes."""
    gallery = filled(tmp_path)
    going = row_id('c.jpg', 0, 0)
    embedding = to_arrays(gallery.rows([going], ['embedding'])['embedding'])[0]

    def die(row_ids: list[int]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gallery.delete(row_ids=[going], index=die)
    assert gallery.deletion_is_pending()
    (tmp_path / 'backup.bin').write_bytes(b'xyz' + embedding.tobytes())
    report = gallery.delete()
    assert report.row_ids == [going]
    assert report.left_in == [str(tmp_path / 'backup.bin')]


def test_pieces_are_found_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmps.gallery.byte_search._BLOCK', 64)
    rng = np.random.default_rng(0)
    pieces = [rng.bytes(48) for _ in range(5)] + [rng.bytes(20)]
    file = tmp_path / 'file'
    finder = PieceFinder(pieces)
    for piece in pieces:
        for start in range(0, 140, 9):
            file.write_bytes(rng.bytes(start) + piece + rng.bytes(7))
            assert finder.find(file) == {piece}
            file.write_bytes(rng.bytes(start) + piece[:-1])
            assert finder.find(file) == set()
    file.write_bytes(b''.join(pieces))
    assert finder.find(file) == set(pieces)
    assert PieceFinder([]).find(file) == set()
    file.write_bytes(b'')
    assert finder.find(file) == set()


def test_pieces_tell_persons_apart() -> None:
    sparse = np.zeros(64, np.float32)
    sparse[40] = 1
    piece = piece_of_embedding(sparse)
    assert len(piece) == 48
    assert np.count_nonzero(np.frombuffer(piece, np.float32)) == 1
    assert piece_of_embedding(np.float32([3, 4])) == np.float32([3, 4]).tobytes()
    thumbnails = random_rows('a', 0, 50)['thumbnail'].to_pylist()
    assert len({piece_of_thumbnail(jpeg) for jpeg in thumbnails}) == 50


def test_scenes_are_read_from_their_sources(tmp_path: Path) -> None:
    gallery = new_gallery(tmp_path / 'g')
    video, image = make_video(tmp_path / 'in' / 'v.avi'), make_image(tmp_path / 'in' / 'i.png', 2)
    assert number_in(gallery.scene(str(video), 13)) == 13
    assert number_in(gallery.scene(str(image), 0)) == 2
    moved = gallery.scene('/old/in/v.avi', 13, data_root=tmp_path)
    assert number_in(moved) == 13
    with pytest.raises(FileNotFoundError, match=r'/old/in/v\.avi'):
        gallery.scene('/old/in/v.avi', 13)
    with pytest.raises(UnreadableError, match='frame 99'):
        gallery.scene(str(video), 99)
