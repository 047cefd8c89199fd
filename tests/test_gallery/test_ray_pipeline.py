import functools
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from footage import BarDetector, make_image, make_video
from gallery_rows import new_gallery

from mmps.gallery import Coverage, Gallery, find_sources, index_sources

ray = pytest.importorskip('ray')
pytest.importorskip('ray.data')

import psutil  # noqa: E402, Ray brings it along

from mmps.gallery.ray_pipeline import divide, index_by_ray, start_ray  # noqa: E402


@pytest.fixture(scope='module')
def cluster():
    """Ray on this machine, on its loopback alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', str(Path(__file__).parent))  # for the actors
        start_ray(num_cpus=2)
    yield
    ray.shutdown()


def listening() -> set[str]:
    """Addresses that this process and its descendants listen on."""
    me = psutil.Process()
    addresses = set()
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # ended a moment ago
            connections = process.net_connections('tcp')
            addresses |= {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    return addresses


def _without_samplings(gallery: Gallery) -> dict[str, Coverage]:
    """What is done; that a sample is done to its end is only noted by who saw all of its frames.

    Of actors at work on a video at once none may have; the next run notes it.
    """
    coverage = gallery.coverage()
    return {
        source: replace(done, end=done.end and replace(done.end, samplings=()))
        for source, done in coverage.items()
    }


@pytest.mark.usefixtures('cluster')
def test_ray_writes_the_same_rows(tmp_path: Path) -> None:
    make_video(tmp_path / 'in' / 'a.avi')
    make_image(tmp_path / 'in' / 'b.png')
    broken = tmp_path / 'in' / 'broken.mp4'
    broken.write_bytes(b'')
    gone = tmp_path / 'in' / 'gone.mp4'
    gone.symlink_to(tmp_path / 'nowhere')
    sources = find_sources([tmp_path / 'in'])
    index = functools.partial(index_sources, every=2, camera='door', rows_per_shard=8)
    local, by_ray = new_gallery(tmp_path / 'local'), new_gallery(tmp_path / 'ray')
    expected = index(local, BarDetector(), sources)
    done = []
    addresses = listening()  # while the actors are there, too

    def on_part(number: int, parts: int) -> None:
        done.append((number, parts))
        addresses.update(listening())

    report = index_by_ray(
        by_ray,
        BarDetector,
        sources,
        index=index,
        workers=2,
        on_part=on_part,
    )

    assert _without_samplings(by_ray) == _without_samplings(local)
    assert len(by_ray.shards()) >= 4
    ids = sorted(local.metadata()['row_id'].to_pylist())
    assert sorted(by_ray.metadata()['row_id'].to_pylist()) == ids
    assert by_ray.rows(ids).drop_columns('time') == local.rows(ids).drop_columns('time')
    assert (report.sources, report.frames, report.persons) == (4, expected.frames, expected.persons)
    assert sorted(report.problems) == sorted(expected.problems)
    assert [problem.partition(':')[0] for problem in expected.problems] == [str(broken), str(gone)]
    assert done == [(n, 7) for n in range(1, 8)]
    # Nobody else can reach a port of Ray.
    assert addresses
    assert addresses <= {'127.0.0.1', '::ffff:127.0.0.1', '::1'}


@pytest.mark.usefixtures('cluster')
def test_what_fails_in_an_actor_is_said_in_one_line(tmp_path: Path) -> None:
    photo = str(make_image(tmp_path / 'a.png'))
    index = functools.partial(index_sources, camera_pattern='(')
    with pytest.raises(ChildProcessError) as caught:
        index_by_ray(new_gallery(tmp_path), BarDetector, [photo], index=index, workers=1)
    message = "an actor of Ray failed: ValueError: camera pattern '(': missing ), unterminated "
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


def test_images_are_bundled_and_videos_shared() -> None:
    paths = [f'{n:03}.jpg' for n in range(300)] + ['a.mp4']
    parts = divide(paths, 3)
    assert [part['paths'] for part in parts] == [paths[:256], paths[256:300], *[['a.mp4']] * 3]
    assert [(part['rank'], part['of']) for part in parts] == [(0, 1)] * 2 + [
        (r, 3) for r in range(3)
    ]
