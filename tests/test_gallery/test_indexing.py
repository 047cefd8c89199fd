"""Indexing with a detector that finds what is drawn; killed at any moment; by many processes."""

import multiprocessing
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from footage import BarDetector, check_content, make_image, make_video, people_of
from gallery_rows import new_gallery

from mmps.gallery import (
    Gallery,
    IndexReport,
    Progress,
    Share,
    find_sources,
    index_sources,
    is_video,
)
from mmps.gallery import shards as shards_module

# Copies of this process, which has imported everything.
CONTEXT = multiprocessing.get_context('fork')


@pytest.fixture(scope='module')
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video, a photograph and, in a folder, another of each; do not change it."""
    root = tmp_path_factory.mktemp('footage')
    make_video(root / 'door_c1.mp4', frames=40)
    make_image(root / 'photo.jpg', frame=1)
    make_video(root / 'more' / 'yard_c2.avi', frames=21)
    make_image(root / 'more' / 'photo_c3.png', frame=2)
    return root


def people_in(root: Path, *, every: int = 2) -> dict[Path, dict[int, int]]:
    """How many persons are in each frame of the footage's sample."""
    return {
        root / 'door_c1.mp4': {frame: people_of(frame) for frame in range(0, 40, every)},
        root / 'more' / 'yard_c2.avi': {frame: people_of(frame) for frame in range(0, 21, every)},
        root / 'photo.jpg': {0: 1},
        root / 'more' / 'photo_c3.png': {0: 2},
    }


def index(root: Path, footage: Path, **options) -> tuple[IndexReport, BarDetector]:
    detector = BarDetector()
    options = {'every': 2} | options
    return index_sources(new_gallery(root), detector, find_sources([footage]), **options), detector


def test_everybody_is_found_with_time_and_camera(tmp_path: Path, footage: Path) -> None:
    start = 1772366400.0  # 2026-03-01 12:00 UTC
    steps: list[Progress] = []
    report, detector = index(
        tmp_path,
        footage,
        camera_pattern=r'_(c\d)\.',
        start=start,
        batch_size=4,
        rows_per_shard=10,
        on_progress=steps.append,
    )
    gallery = Gallery.open(tmp_path)
    check_content(gallery, people_in(footage))
    assert (report.sources, report.frames, report.frames_before) == (4, 33, 0)
    assert report.persons == gallery.metadata().num_rows == 34
    assert report.problems == []
    for row in gallery.metadata().to_pylist():
        source = Path(row['source'])
        assert row['camera'] == {'photo.jpg': ''}.get(source.name, source.stem[-2:])
        if is_video(source):
            rate = 10
            assert row['time'] == pytest.approx(start + row['frame'] / rate)
        else:
            assert np.isnan(row['time'])
        person = 'second' if row['bbox'][0] > 32 else 'first'
        expected = {'first': [16, 12, 32, 44], 'second': [48, 12, 64, 44]}[person]
        np.testing.assert_allclose(row['bbox'], expected, atol=1)
        assert (row['image_width'], row['image_height']) == (96, 64)
    # Bounded shards, and full batches but for the last of each source.
    assert all(gallery.read(shard).num_rows < 10 + 3 for shard in gallery.shards())
    assert sorted(detector.batches) == [1, 1, 3, *[4] * 7]
    last = steps[-1]
    assert (last.sources_done, last.sources, last.frames, last.persons) == (4, 4, 33, 34)
    assert [step.frames for step in steps] == sorted(step.frames for step in steps)
    assert {status.source: status.end.frames for status in gallery.sources() if status.end} == {
        str(footage / 'door_c1.mp4'): 40,
        str(footage / 'more' / 'yard_c2.avi'): 21,
    }


@pytest.mark.parametrize('decoder', ['opencv', 'auto'])
def test_what_is_there_is_not_looked_at_again(
    tmp_path: Path, footage: Path, decoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(tmp_path, footage, decoder=decoder)
    with monkeypatch.context() as patch:
        patch.setattr('mmps.gallery.reading.read_video', None)  # the videos are not even opened
        patch.setattr('mmps.gallery.reading.read_image', None)
        report, detector = index(tmp_path, footage, decoder=decoder)
    assert (report.frames, report.frames_before, detector.numbers) == (0, 33, [])
    # Another sample adds what it has more.
    report, detector = index(tmp_path, footage, every=3, decoder=decoder)
    assert detector.numbers == [*range(3, 40, 6), *range(3, 21, 6)]
    everything = people_in(footage)
    for source, frames in people_in(footage, every=3).items():
        everything[source] |= frames
    check_content(Gallery.open(tmp_path), everything)


def test_new_footage_is_added(tmp_path: Path) -> None:
    video = make_video(tmp_path / 'in' / 'a.avi', frames=10)
    index(tmp_path / 'g', tmp_path / 'in')
    make_image(tmp_path / 'in' / 'b.jpg')
    make_video(video, frames=14)  # it has grown
    _, detector = index(tmp_path / 'g', tmp_path / 'in')
    assert detector.numbers == [10, 12, 2]
    gallery = Gallery.open(tmp_path / 'g')
    frames = {frame: people_of(frame) for frame in range(0, 14, 2)}
    check_content(gallery, {video: frames, tmp_path / 'in' / 'b.jpg': {0: 2}})
    assert gallery.coverage()[str(video)].end.frames == 14


def test_what_cannot_be_read_is_listed_and_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / 'in'
    cut = make_video(folder / 'cut.avi')
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 6 // 10])
    photo = make_image(folder / 'cut.jpg')
    photo.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
    (folder / 'none.mp4').write_bytes(b'')
    (folder / 'gone.jpg').symlink_to(folder / 'nowhere')
    whole = make_image(folder / 'whole.jpg', frame=1)
    for _ in range(2):  # and named again the next time
        report, _ = index(tmp_path / 'g', folder)
        names = [problem.partition(':')[0] for problem in report.problems]
        assert names == [str(folder / n) for n in ('cut.avi', 'cut.jpg', 'gone.jpg', 'none.mp4')]
        assert 'breaks off after' in report.problems[0]
    gallery = Gallery.open(tmp_path / 'g')
    assert gallery.coverage().keys() == {str(cut), str(whole)}
    assert sorted(gallery.coverage()[str(cut)].frames) == [*range(0, 20, 2)]


@pytest.mark.parametrize(('options', 'message'), [
    ({'camera_pattern': '('}, "camera pattern '\\('"),
    ({'camera_pattern': 'c1'}, 'needs one group'),
    ({'camera_pattern': '(c)', 'camera': 'x'}, 'not both'),
    ({'every': 0}, 'every'),
    ({'fps': 1}, 'one of every and fps'),
])  # fmt: skip
def test_bad_options(tmp_path: Path, footage: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        index(tmp_path, footage, **options)


def test_a_gallery_of_another_model_is_refused(tmp_path: Path, footage: Path) -> None:
    gallery = new_gallery(tmp_path, model_id='bb')
    with pytest.raises(ValueError, match=r'another model \(id bb\).*id aa.*another folder'):
        index_sources(gallery, BarDetector(), find_sources([footage]))


def test_sources_are_files_by_their_whole_paths(tmp_path: Path) -> None:
    for path in ('a.mp4', str(tmp_path / 'in' / '..' / 'a.mp4')):
        with pytest.raises(ValueError, match=r'a\.mp4: not a whole path; find_sources'):
            index_sources(new_gallery(tmp_path), BarDetector(), [path])


def test_a_file_that_is_gone_is_a_problem_like_others(tmp_path: Path) -> None:
    gone, photo = tmp_path / 'gone.mp4', make_image(tmp_path / 'photo.jpg')
    report = index_sources(new_gallery(tmp_path / 'g'), BarDetector(), [str(gone), str(photo)])
    assert report.problems == [f'{gone}: No such file or directory']
    assert report.frames == 1


def test_what_was_found_is_kept_if_the_detector_fails(tmp_path: Path, footage: Path) -> None:
    class Failing(BarDetector):
        def detect(self, images, *, batch_size):
            if len(self.numbers) == 5:
                raise RuntimeError('out of memory')
            return super().detect(images, batch_size=batch_size)

    with pytest.raises(RuntimeError, match='out of memory'):
        index_sources(new_gallery(tmp_path), Failing(), find_sources([footage]), every=2)
    assert len(Gallery.open(tmp_path).coverage()[str(footage / 'door_c1.mp4')].frames) == 5
    index(tmp_path, footage)
    check_content(Gallery.open(tmp_path), people_in(footage))


def test_rows_are_written_when_time_has_passed(tmp_path: Path, footage: Path) -> None:
    index(tmp_path, footage, seconds_per_shard=0.0)
    assert len(Gallery.open(tmp_path).shards()) >= 33


def kill_at(moment: str, count: int) -> None:
    """Kill this process at the n-th of such moments."""
    left = [count]

    def passing(function, *, before: bool = True):
        def run(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0 and not before:
                function(*args, **kwargs)
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return run

    def half_written(rows, file, **options):
        file.write(b'PAR1 half a shard')
        file.flush()

    if moment == 'searching':
        BarDetector.detect = passing(BarDetector.detect)
    elif moment == 'writing':
        write = shards_module.pq.write_table
        killed = passing(half_written, before=False)
        shards_module.pq.write_table = lambda *a, **k: (
            killed(*a, **k) if left[0] == 1 else (passing(write)(*a, **k))
        )
    elif moment == 'written':
        os.replace = passing(os.replace, before=False)


def index_until_killed(root: Path, footage: Path, moment: str, count: int) -> None:
    cv2.setNumThreads(0)  # a copy has no threads but one
    kill_at(moment, count)
    index(root, footage, rows_per_shard=5, decoder='opencv')


@pytest.mark.parametrize(('moment', 'count'), [
    ('searching', 8), ('writing', 2), ('written', 1)
])  # fmt: skip
def test_killed_again_and_again(tmp_path: Path, footage: Path, moment: str, count: int) -> None:
    new_gallery(tmp_path)
    exit_codes = []
    while not exit_codes or exit_codes[-1]:
        process = CONTEXT.Process(
            target=index_until_killed, args=(tmp_path, footage, moment, count)
        )
        process.start()
        process.join()
        exit_codes.append(process.exitcode)
        Gallery.open(tmp_path).metadata()  # can be searched
        assert len(exit_codes) < 12
    assert exit_codes[:-1] == [-signal.SIGKILL] * (len(exit_codes) - 1)
    assert len(exit_codes) >= 4
    check_content(Gallery.open(tmp_path), people_in(footage))
    assert {path.suffix for path in (tmp_path / 'shards').iterdir()} == {'.parquet'}


@pytest.mark.parametrize('world_size', [2, 5])
def test_shares_are_disjoint_and_whole(tmp_path: Path, footage: Path, world_size: int) -> None:
    searched = []
    for rank in range(world_size):
        _, detector = index(tmp_path, footage, every=1, share=Share(rank, world_size))
        searched.append(len(detector.numbers))
    assert sum(searched) == 40 + 21 + 2
    assert max(searched) <= 16 + 8 + 16 + 2  # a share of each source's begins anywhere
    check_content(Gallery.open(tmp_path), people_in(footage, every=1))


def test_another_number_of_processes_goes_on(tmp_path: Path, footage: Path) -> None:
    """One of two processes is done, the other was killed; then there are three."""
    index(tmp_path, footage, every=1, share=Share(1, 2))
    index(tmp_path, footage, every=1, share=Share(0, 3))
    counts = []
    for rank in range(3):
        _, detector = index(tmp_path, footage, every=1, share=Share(rank, 3))
        counts.append(len(detector.numbers))
    assert counts[0] == 0
    check_content(Gallery.open(tmp_path), people_in(footage, every=1))
    with pytest.raises(ValueError, match='no process 3 among 3'):
        Share(3, 3)


def index_share(root: Path, footage: Path, rank: int) -> None:
    cv2.setNumThreads(0)
    index(root, footage, share=Share(rank, 2), rows_per_shard=3)


def test_two_processes_at_once(tmp_path: Path, footage: Path) -> None:
    processes = [CONTEXT.Process(target=index_share, args=(tmp_path, footage, r)) for r in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    check_content(Gallery.open(tmp_path), people_in(footage))
