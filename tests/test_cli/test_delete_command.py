import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from command_line import error_of, run, run_json

from mmps.gallery import Coverage, Gallery, make_rows, row_id, to_arrays
from mmps.gallery.sources import normalise
from mmps.index import FaissIndex, open_index

DIM = 16


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person walks through two videos, and 20 others; with its index. Copy it."""
    root = tmp_path_factory.mktemp('made') / 'people'
    gallery = Gallery.create(root, model_id='aa', embed_dim=DIM, model={'weights': None})
    rng = np.random.default_rng(0)
    person = unit(rng.normal(size=DIM))
    for video in ('/in/a.mp4', '/in/b.mp4'):
        tables = []
        for frame in range(5):
            others = [unit(rng.normal(size=DIM)) for _ in range(2)]
            seen = unit(person + 0.05 * rng.normal(size=DIM))
            tables.append(
                make_rows(
                    video,
                    frame,
                    image=rng.integers(0, 255, (50, 90, 3), dtype=np.uint8),
                    bboxes=np.float32([[10 + 30 * n, 5, 30 + 30 * n, 45] for n in range(3)]),
                    scores=np.full(3, 0.9, np.float32),
                    embeddings=np.float32([seen, *others]),
                    time=frame / 2,
                )
            )
        gallery.append(pa.concat_tables(tables), {video: Coverage(frozenset(range(5)))})
    open_index(gallery)
    return root


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values)


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / 'people'))


def bytes_of(root: Path, ids: list[int]) -> list[bytes]:
    rows = Gallery.open(root).rows(ids, ['embedding', 'thumbnail'])
    embeddings = [embedding.tobytes() for embedding in to_arrays(rows['embedding'])]
    return embeddings + rows['thumbnail'].to_pylist()


def count_in_files(root: Path, secrets: list[bytes]) -> int:
    content = b''.join(path.read_bytes() for path in root.rglob('*') if path.is_file())
    return sum(secret in content for secret in secrets)


WALK = [row_id(video, frame, 0) for video in ('/in/a.mp4', '/in/b.mp4') for frame in range(5)]


def test_a_person_is_deleted_everywhere(root: Path) -> None:
    command = ('delete', root, '--person', WALK[2], '--min-similarity', 0.7)
    listed = run(*command, '--dry-run').stdout
    assert '10 persons' in listed
    assert all(str(row) in listed for row in WALK)
    secrets = bytes_of(root, WALK)
    assert count_in_files(root, secrets) == 20
    assert Gallery.open(root).metadata().num_rows == 30
    assert 'confirm by --yes' in run(*command, exit_code=2).stderr

    result = run_json(*command, '--yes')

    assert sorted(result['deletion']['row_ids']) == sorted(WALK)
    assert (result['deletion']['left_in'], result['left_in_indexes']) == ([], [])
    assert result['indexes'] == 1
    assert result['deletion']['rows_read'] == 20
    assert count_in_files(root, secrets) == 0
    gallery = Gallery.open(root)
    assert gallery.metadata().num_rows == len(open_index(gallery)) == 20
    assert gallery.coverage()['/in/a.mp4'].frames == set(range(5))


def test_a_track_is_deleted(root: Path) -> None:
    proof = run('delete', root, '--track', WALK[0], '--yes').stdout
    assert 'Deleted 5 persons; 1 shards were written anew, 0 removed.' in proof
    assert 'the 25 persons of all shards were read again' in proof
    assert 'found in 0.' in proof
    assert '1 indexes were asked for them: none came back' in proof
    left = Gallery.open(root).metadata()['row_id'].to_pylist()
    assert not {*WALK[:5]} & {*left}
    assert {*WALK[5:]} <= {*left}


def test_a_folder_of_sources_is_deleted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run('delete', root, '--source', '/in/b.mp4', '--row', WALK[0], '--yes')
    gallery = Gallery.open(root)
    assert gallery.coverage().keys() == {'/in/a.mp4'}
    assert gallery.metadata().num_rows == 14
    monkeypatch.chdir('/')
    assert normalise('in') == '/in'
    run('delete', root, '--source', 'in', '--yes')
    assert gallery.metadata().num_rows == len(open_index(gallery)) == 0
    assert gallery.shards() == []


def test_what_an_index_keeps_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if faiss could not remove rows."""
    monkeypatch.setattr(FaissIndex, 'sync', lambda self, gallery: None)
    monkeypatch.setattr(FaissIndex, 'remove', lambda self, row_ids: None)
    monkeypatch.setattr(FaissIndex, '__len__', lambda self: 30)
    result = run('delete', root, '--row', WALK[0], '--yes', exit_code=1)
    assert 'error: something is left: ' in result.stderr
    assert f'{root}/index/' in result.stderr
    assert '30 rows in an index of 29' in result.stderr
    assert '1 indexes were asked for them: 2 findings.' in result.stdout


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'say what to delete'),
        (['--person', '5'], '--person and --min-similarity go together'),
        (['--person', '5', '--min-similarity', '0.5'], 'no row [5]'),
        (['--row', '7'], 'no row [7]'),
        (['--track', '8'], 'has no track 8'),
        (['--source', 'c.mp4'], 'has no source c.mp4; it has, for one, /in/a.mp4'),
    ],
)
def test_what_is_not_there_is_said(made: Path, arguments: list[str], message: str) -> None:
    assert message in error_of('delete', made, *arguments, '--yes')


def test_a_deletion_that_was_killed_is_finished(root: Path) -> None:
    gallery = Gallery.open(root)
    secrets = bytes_of(root, WALK)

    def die(row_ids: list[int]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gallery.delete(row_ids=WALK, index=die)
    result = run_json('delete', root, '--yes')
    assert sorted(result['deletion']['row_ids']) == sorted(WALK)
    assert result['left_in_indexes'] == []
    assert count_in_files(root, secrets) == 0
    assert not gallery.deletion_is_pending()
