"""PRW's real annotations, read whole: the counts that the dataset is known to have."""

from pathlib import Path

import numpy as np

from mmps.datasets import PRWDataset


def load(root: Path, split: str) -> tuple[PRWDataset, list[dict]]:
    dataset = PRWDataset(str(root), split, check_frames=False, serialize_data=False)
    return dataset, dataset.data_list


def boxes_of(items: list[dict]) -> np.ndarray:
    return np.array([person['bbox'] for item in items for person in item['instances']])


def pids_of(items: list[dict]) -> np.ndarray:
    return np.array([person['pid'] for item in items for person in item['instances']])


def check_boxes(boxes: np.ndarray) -> None:
    assert (boxes >= 0).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (boxes == np.trunc(boxes)).all()


def test_train(prw_root):
    dataset, items = load(prw_root, 'train')
    assert len(items) == 5704
    assert sum(len(item['instances']) for item in items) == 18048
    assert dataset.num_persons == 483
    assert dataset.metainfo['person_ids'] == [*range(1, 479), *range(480, 484), 932]
    counts = np.bincount(pids_of(items)[pids_of(items) >= 0])
    assert len(counts) == 483
    assert counts.min() >= 1
    assert counts.max() == 465
    assert {item['camera_id'] for item in items} == {1, 2, 3, 4, 5, 6}
    check_boxes(boxes_of(items))
    # The second time from the cache.
    assert load(prw_root, 'train')[1] == items


def test_gallery_and_queries(prw_root):
    gallery, items = load(prw_root, 'gallery')
    assert len(items) == 6112
    assert sum(len(item['instances']) for item in items) == 25062
    check_boxes(boxes_of(items))
    carried = [(query, item['img_id']) for item in items for query in item['queries']]
    assert sorted(query['query_id'] for query, _ in carried) == list(range(2057))

    query, query_items = load(prw_root, 'query')
    assert len(query_items) == 2057
    assert query.metainfo['person_ids'] == gallery.metainfo['person_ids']
    check_boxes(boxes_of(query_items))
    for entry, img_id in carried:
        item = query_items[entry['query_id']]
        assert item['img_id'] == img_id
        (person,) = item['instances']
        assert (person['bbox'], person['pid']) == (entry['bbox'], entry['pid'])
        # Someone of that identity stands on the frame.
        assert person['pid'] in {other['pid'] for other in items[img_id]['instances']}
