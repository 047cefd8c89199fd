"""CUHK-SYSU's real annotations, read whole: counts, and each box against a plain reading."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from mmps.datasets import CUHKSYSUDataset
from mmps.datasets.cuhk_sysu_files import TRAIN_FILE
from mmps.datasets.cuhk_sysu_search import load_search_file, search_file


def load(root: Path, split: str) -> tuple[CUHKSYSUDataset, list[dict]]:
    dataset = CUHKSYSUDataset(str(root), split, check_frames=False, serialize_data=False)
    return dataset, dataset.data_list


def variable(root: Path, file: str, key: str) -> np.ndarray:
    return loadmat(root / file)[key].ravel()


def place(entry: np.void) -> tuple:
    return (str(entry['imname'][0]), *entry['idlocate'].ravel().astype(int).tolist())


@pytest.fixture(scope='module')
def pid_of(cuhk_sysu_root: Path) -> dict[tuple, int]:
    """Identity of every box (image, x, y, w, h) that the protocol names."""
    pids: dict[tuple, int] = {}
    for pid, entry in enumerate(variable(cuhk_sysu_root, *search_file(gallery_size=50))):
        pids[place(entry['Query'][0, 0])] = pid
        for scene in entry['Gallery'].ravel():
            if scene['idlocate'].size:
                pids[place(scene)] = pid
    return pids


def test_gallery(cuhk_sysu_root: Path, pid_of: dict[tuple, int]) -> None:
    dataset, items = load(cuhk_sysu_root, 'gallery')
    assert len(items) == 6978
    assert dataset.num_persons == 2900
    assert dataset.metainfo['person_ids'][0] == 'p10581'
    pool = variable(cuhk_sysu_root, 'annotation/pool.mat', 'pool')
    assert [item['img_name'] for item in items] == [str(name[0]) for name in pool]
    boxes = {
        str(image['imname'][0]): [box['idlocate'][0].tolist() for box in image['box'].ravel()]
        for image in variable(cuhk_sysu_root, 'annotation/Images.mat', 'Img')
    }
    for item in items:
        name = item['img_name']
        expected = [
            ([x, y, x + w, y + h], pid_of.get((name, x, y, w, h), -1))
            for x, y, w, h in boxes[name]
            if w > 0 and h > 0
        ]
        assert [(person['bbox'], person['pid']) for person in item['instances']] == expected


def test_queries(cuhk_sysu_root: Path, pid_of: dict[tuple, int]) -> None:
    _, items = load(cuhk_sysu_root, 'query')
    _, gallery = load(cuhk_sysu_root, 'gallery')
    assert len(items) == 2900
    for query_id, item in enumerate(items):
        (person,) = item['instances']
        x1, y1, x2, y2 = person['bbox']
        assert item['query_id'] == person['pid'] == query_id
        assert pid_of[item['img_name'], x1, y1, x2 - x1, y2 - y1] == query_id
    carried = [(query, item['img_id']) for item in gallery for query in item['queries']]
    assert len(carried) == 2900
    for query, img_id in carried:
        item = items[query['query_id']]
        assert (item['img_id'], item['instances'][0]['bbox']) == (img_id, query['bbox'])


def test_test_files(cuhk_sysu_root: Path) -> None:
    small, large = (
        load_search_file(cuhk_sysu_root / file, key)
        for file, key in (search_file(gallery_size=size) for size in (50, 100))
    )
    for tests, size in ((small, 50), (large, 100)):
        # Four galleries list an image twice.
        counts = np.diff(tests.gallery_indptr)
        assert np.bincount(counts)[-2:].tolist() == [4, 2896]
        assert counts.max() == size
        assert tests.num_to_find.sum() == 5447
        assert len(tests.target_image) == 5446  # one of the four gives the same box twice
        assert len(tests.images) == 6978
    for query in range(0, 2900, 29):
        names = [
            tests.images[tests.gallery_image[slice(*tests.gallery_indptr[query : query + 2])]]
            for tests in (small, large)
        ]
        assert names[0].tolist() == names[1][: len(names[0])].tolist()


def test_train(cuhk_sysu_root: Path) -> None:
    if not (cuhk_sysu_root / TRAIN_FILE).is_file():
        pytest.skip(f'these annotations of CUHK-SYSU have no {TRAIN_FILE}')
    dataset, items = load(cuhk_sysu_root, 'train')
    pids = np.array([person['pid'] for item in items for person in item['instances']])
    assert (len(items), len(pids), dataset.num_persons) == (11206, 55272, 5532)
    assert (np.bincount(pids[pids >= 0], minlength=5532) > 0).all()
