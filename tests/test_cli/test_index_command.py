from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from command_line import error_of, run, run_json

from mmps.apis import PersonSearchInferencer
from mmps.gallery import Gallery, to_arrays


@pytest.fixture(scope='module')
def video(tiny_prw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five frames of the tiny sample as a video without loss, which PyAV and OpenCV read alike."""
    path = tmp_path_factory.mktemp('video') / 'yard_c7.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'PNG '), 2, (160, 96))
    for image in sorted(tiny_prw.glob('frames/*.jpg'))[:5]:
        writer.write(cv2.imread(str(image)))
    writer.release()
    return path


def test_what_is_found_is_what_the_inferencer_finds(
    video: Path, tiny_prw: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    root = tmp_path / 'people'
    image = sorted(tiny_prw.glob('frames/*.jpg'))[0]
    report = run_json(
        *('index', video, image, '--gallery', root, '--weights', tiny_weights, '--every', 2),
        *('--camera-pattern', r'_(c\d)\.', '--start', '2026-03-01T12:00:00Z'),
    )
    model = PersonSearchInferencer(None, tiny_weights, device='cpu')
    found = model.detect([cv2.imread(str(image))])[0]
    gallery = Gallery.open(root)
    assert gallery.model == model.origin
    assert (report['frames'], report['problems']) == (4, [])
    rows = gallery.metadata()
    of_image = rows.filter(np.array(rows['source'].to_pylist()) == str(image))
    order = gallery.rows(of_image['row_id'].to_pylist())
    np.testing.assert_allclose(to_arrays(order['embedding']), found.embeddings, atol=1e-5)
    np.testing.assert_allclose(to_arrays(order['bbox']), found.bboxes, atol=1e-3)
    times = {(Path(r['source']).name, r['frame'], r['camera'], r['time']) for r in rows.to_pylist()}
    assert {t for t in times if t[2]} == {
        (video.name, frame, 'c7', 1772366400 + frame / 2) for frame in (0, 2, 4)
    }
    assert (root / 'index' / 'state.json').is_file()
    # Again, with the model that the gallery recorded.
    again = run('index', video, '--gallery', root, '--every', 2)
    assert '0 persons in 0 frames' in again.stdout
    assert '3 frames had been searched before' in again.stdout
    assert f'mmps search {root} IMAGE' in again.stdout


def test_processes_of_torchrun_share_the_work(
    video: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for rank in range(2):
        monkeypatch.setenv('RANK', str(rank))
        monkeypatch.setenv('WORLD_SIZE', '2')
        command = ('index', video, '--gallery', tmp_path, '--weights', tiny_weights, '--every', 1)
        counts.append(run_json(*command)['frames'])
    assert sorted(counts) == [0, 5]  # a video as short as that is a single part
    assert len(Gallery.open(tmp_path).coverage()[str(video)].frames) == 5


def test_what_is_wrong_is_said_in_one_line(video: Path, tiny_weights: Path, tmp_path: Path) -> None:
    new = tmp_path / 'new'
    assert 'there is no none.mp4' in error_of('index', 'none.mp4', '--gallery', new)
    assert '--weights: ' in error_of('index', video, '--gallery', new)
    wrong = error_of('index', video, '--gallery', new, '--weights', tiny_weights, '--start', 'noon')
    assert "'noon' is no time" in wrong
    text = tmp_path / 'text.jpg'
    text.write_text('hello\n')
    assert 'text.jpg: this is a file; a gallery is a folder' in error_of(
        'index', video, '--gallery', text
    )
    no_weights = error_of('index', video, '--gallery', new, '--weights', text)
    assert 'text.jpg is no checkpoint: it was not written by torch.save' in no_weights
    assert not new.exists()
    checkpoint = torch.load(tiny_weights, weights_only=False)
    next(iter(checkpoint['state_dict'].values())).add_(1)
    torch.save(checkpoint, tmp_path / 'other.pth')
    Gallery.create(new, model_id='aa', embed_dim=8, model={'model': None, 'weights': 'old.pth'})
    message = error_of('index', video, '--gallery', new, '--weights', tmp_path / 'other.pth')
    assert 'made with another model (old.pth, id aa)' in message
    assert 'another folder for a new gallery' in message


def test_nothing_readable_is_a_failure(tiny_weights: Path, tmp_path: Path) -> None:
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(b'no image')
    result = run(
        'index', broken, '--gallery', tmp_path / 'g', '--weights', tiny_weights, exit_code=1
    )
    assert f'not read, or not whole: {broken}: not a readable image' in result.stderr
    assert 'mmps search' not in result.stdout  # for whom?


def test_a_share_without_anything_readable_is_no_failure(
    video: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else torchrun would end the processes that still have work to do."""
    broken = tmp_path / 'broken.mp4'
    broken.write_bytes(b'no video')
    monkeypatch.setenv('WORLD_SIZE', '2')
    monkeypatch.setenv('RANK', '0')
    command = ('index', broken, '--gallery', tmp_path / 'g', '--weights', tiny_weights)
    result = run(*command)
    assert '0 persons in 0 frames' in result.stdout
    assert f'not read, or not whole: {broken}: ' in result.stderr
    run(*command, video)
    monkeypatch.setenv('RANK', '1')
    run(*command, video)
    assert len(Gallery.open(tmp_path / 'g').coverage()[str(video)].frames) == 5
