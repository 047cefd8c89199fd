import functools
from pathlib import Path

import pytest
from footage import BarDetector, make_image, make_video
from gallery_rows import new_gallery

from mmps.gallery import index_sources

ray = pytest.importorskip('ray')
pytest.importorskip('ray.data')

from mmps.gallery.ray_pipeline import divide, index_by_ray, start_ray  # noqa: E402


@pytest.fixture(scope='module')
def cluster():
    """Ray on this machine, on its loopback alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', str(Path(__file__).parent))  # for the actors
        start_ray(num_cpus=2)
    yield
    ray.shutdown()


@pytest.mark.usefixtures('cluster')
def test_ray_writes_the_same_rows(tmp_path: Path) -> None:
    make_video(tmp_path / 'in' / 'a.avi')
    make_image(tmp_path / 'in' / 'b.png')
    broken = tmp_path / 'in' / 'broken.mp4'
    broken.write_bytes(b'')
    index = functools.partial(index_sources, every=2, camera='door', rows_per_shard=8)
    local, by_ray = new_gallery(tmp_path / 'local'), new_gallery(tmp_path / 'ray')
    expected = index(local, BarDetector(), [tmp_path / 'in'])
    done = []

    report = index_by_ray(
        by_ray,
        BarDetector,
        [tmp_path / 'in'],
        index=index,
        workers=1,
        on_part=lambda number, parts: done.append((number, parts)),
    )

    assert by_ray.coverage() == local.coverage()
    assert len(by_ray.shards()) >= 4
    ids = sorted(local.metadata()['row_id'].to_pylist())
    assert sorted(by_ray.metadata()['row_id'].to_pylist()) == ids
    assert by_ray.rows(ids).drop_columns('time') == local.rows(ids).drop_columns('time')
    assert (report.sources, report.frames, report.persons) == (3, expected.frames, expected.persons)
    assert [problem.partition(':')[0] for problem in report.problems] == [str(broken)]
    assert done == [(n, 3) for n in range(1, 4)]


def test_images_are_bundled_and_videos_shared() -> None:
    paths = [f'{n:03}.jpg' for n in range(300)] + ['a.mp4']
    parts = divide(paths, 3)
    assert [part['paths'] for part in parts] == [paths[:256], paths[256:300], *[['a.mp4']] * 3]
    assert [(part['rank'], part['of']) for part in parts] == [(0, 1)] * 2 + [
        (r, 3) for r in range(3)
    ]
