from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from gallery_rows import DIM, new_gallery

from mmps.gallery import Coverage, Gallery, link_tracks, make_rows, to_arrays

ANNA, BEN = np.eye(2, DIM, dtype=np.float32)
IMAGE = np.zeros((100, 300, 3), np.uint8)


def box(x: float, y: float = 20.0) -> list[float]:
    return [x, y, x + 20, y + 60]


def link(detections: list[tuple[int, float, list[float], np.ndarray]]) -> list[int]:
    """Tracks of detections (step, seconds, box, embedding)."""
    steps, times, boxes, embeddings = zip(*detections, strict=True)
    return link_tracks(
        np.array(steps),
        np.array(times, float),
        np.array(boxes, np.float32),
        np.array(embeddings, np.float32),
        known=np.full(len(steps), -1),
    ).tolist()


def crossing(steps: int = 11, interval: float = 0.5) -> list:
    """Anna walks right, Ben left; in the middle each is where the other was a step before."""
    return [
        (step, step * interval, box(x), who)
        for step in range(steps)
        for x, who in ((20.0 * step, ANNA), (200.0 - 20 * step, BEN))
    ]


def test_people_who_cross_keep_their_tracks() -> None:
    assert link(crossing()) == [0, 1] * 11


def test_place_decides_between_people_who_look_alike() -> None:
    detections = [(step, step * 0.2, box(x), ANNA) for step in range(5) for x in (step, 50 + step)]
    assert link(detections) == [0, 1] * 5
    # The order of the detections does not matter.
    swapped = [detections[i + 1 - 2 * (i % 2)] if i >= 4 else d for i, d in enumerate(detections)]
    assert link(swapped) == [0, 1, 0, 1, 1, 0, 1, 0, 1, 0]


@pytest.mark.parametrize(('steps', 'seconds', 'goes_on'), [
    (4, 100.0, True),  # few samples in between, however long that takes
    (50, 2.0, True),
    (5, 2.1, False),
])  # fmt: skip
def test_a_track_ends_after_a_gap(steps: int, seconds: float, goes_on: bool) -> None:
    assert link([(0, 0, box(0), ANNA), (steps, seconds, box(3), ANNA)]) == [0, int(not goes_on)]


def test_unknown_times_count_samples() -> None:
    nan = float('nan')
    walk = [(0, nan, box(0), ANNA), (4, nan, box(30), ANNA), (9, nan, box(30), ANNA)]
    assert link(walk) == [0, 0, 2]


def test_neither_jumps_nor_strangers_are_linked() -> None:
    # 60 pixels high: 3 heights a second reach 180 pixels in the one second.
    assert link([(0, 0, box(0), ANNA), (1, 1, box(179), ANNA)]) == [0, 0]
    assert link([(0, 0, box(0), ANNA), (1, 1, box(181), ANNA)]) == [0, 1]
    assert link([(0, 0, box(0), ANNA), (1, 1, box(0), BEN)]) == [0, 1]


def test_a_third_person_does_not_break_the_pairing() -> None:
    """One to one: somebody new nearby gets a track of their own."""
    alike = 0.8 * ANNA + 0.6 * BEN
    detections = [(0, 0, box(0), ANNA), (1, 0.5, box(2), alike), (1, 0.5, box(4), ANNA)]
    assert link(detections) == [0, 1, 0]


def walk(frame: int, *, source: str = 'a.mp4') -> pa.Table:
    rows = [(x, who) for step, _, (x, *_), who in crossing() if step == frame]
    return make_rows(
        source,
        frame * 10,
        image=IMAGE,
        bboxes=np.array([box(x) for x, _ in rows], np.float32),
        scores=np.ones(len(rows), np.float32),
        embeddings=np.array([who for _, who in rows]),
        time=frame * 0.5,
    )


def add(gallery: Gallery, numbers: list[int]) -> None:
    covered = {'a.mp4': Coverage(frozenset(10 * n for n in numbers))}
    gallery.append(pa.concat_tables([walk(n) for n in numbers]), covered)


def tracks_of(gallery: Gallery) -> dict[tuple[int, bool], tuple[int, bool]]:
    """(frame, whether it is Anna) -> the same of the first row of the track."""
    rows = gallery.metadata()
    ids = rows['row_id'].to_pylist()
    assert gallery.rows(ids, ['track'])['track'].to_pylist() == rows['track'].to_pylist()
    embeddings = to_arrays(gallery.rows(ids, ['embedding'])['embedding'])
    is_anna = (embeddings @ ANNA == 1).tolist()
    who = dict(zip(ids, zip(rows['frame'].to_pylist(), is_anna, strict=True), strict=True))
    return {who[row]: who[track] for row, track in zip(ids, rows['track'].to_pylist(), strict=True)}


def test_tracks_of_a_gallery_whatever_the_order_of_the_shards(tmp_path: Path) -> None:
    """As several processes write them, and looked at in between."""
    gallery = new_gallery(tmp_path)
    for part in ([3, 4], [0, 1], [7, 8, 9, 10], [2, 6, 5]):
        add(gallery, part)
        gallery.metadata()
    expected = {(10 * n, anna): (0, anna) for n in range(11) for anna in (True, False)}
    assert tracks_of(gallery) == tracks_of(Gallery.open(tmp_path)) == expected


def test_rows_of_images_have_no_track(tmp_path: Path) -> None:
    gallery = new_gallery(tmp_path)
    gallery.append(walk(0, source='a.jpg'), {'a.jpg': Coverage(frozenset({0}))})
    add(gallery, [0, 1])
    rows = gallery.metadata().select(['source', 'track']).to_pylist()
    assert [row['track'] for row in rows if row['source'] == 'a.jpg'] == [-1, -1]
    assert all(row['track'] >= 0 for row in rows if row['source'] == 'a.mp4')


def test_only_new_frames_are_linked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = new_gallery(tmp_path)
    add(gallery, [0, 1, 2, 3])
    before = tracks_of(gallery)
    asked = []

    def spy(*args, known, **kwargs):
        asked.append((known == -1).sum())
        return link_tracks(*args, known=known, **kwargs)

    monkeypatch.setattr('mmps.gallery.track_cache.link_tracks', spy)
    add(gallery, [4, 6])
    assert tracks_of(gallery).items() >= before.items()
    add(gallery, [5])
    assert set(tracks_of(gallery).values()) == {(0, True), (0, False)}
    assert tracks_of(Gallery.open(tmp_path)) == tracks_of(gallery)
    # Frames 4 and 6; then 5 and, since it comes after that one, 6 again; from the disk, none.
    assert asked == [4, 4, 0]
