import numpy as np
import pytest

from mmps.evaluation.dataset_arrays import dataset_arrays


def make_item(name, persons, queries, **changes):
    item = {
        'img_path': f'frames/{name}',
        'img_name': name,
        'camera_id': 3,
        'sequence_id': -1,
        'instances': [
            {'bbox': [x, 0, x + 10, 20], 'pid': pid, 'ignore_flag': flag}
            for x, pid, flag in persons
        ],
        'queries': [
            {'bbox': [x, 0, x + 10, 20], 'pid': pid, 'query_id': i} for x, pid, i in queries
        ],
    }
    return {**item, **changes}


def test_persons_and_queries():
    arrays = dataset_arrays(
        [
            make_item('a.jpg', [(0, 1, 0), (50, -1, 1)], [(0, 1, 1)]),
            make_item('b.jpg', [], [], camera_id=4),
            make_item('c.jpg', [(9, 0, 0), (99, -1, 0)], [(9, 0, 0), (0, 1, 2)], sequence_id=7),
        ]
    )
    assert arrays['image_names'].tolist() == ['a.jpg', 'b.jpg', 'c.jpg']
    assert arrays['image_paths'].tolist() == ['frames/a.jpg', 'frames/b.jpg', 'frames/c.jpg']
    assert arrays['camera_ids'].tolist() == [3, 4, 3]
    assert arrays['sequence_ids'].tolist() == [-1, -1, 7]
    # The ignored person of the first image is left out.
    assert arrays['gt_image'].tolist() == [0, 2, 2]
    assert arrays['gt_pids'].tolist() == [1, 0, -1]
    np.testing.assert_array_equal(arrays['gt_bboxes'][:, 0], [0, 9, 99])
    # Queries come in the order of their ids.
    assert arrays['query_ids'].tolist() == [0, 1, 2]
    assert arrays['query_image'].tolist() == [2, 0, 2]
    assert arrays['query_pids'].tolist() == [0, 1, 1]
    np.testing.assert_array_equal(arrays['query_bboxes'], [[9, 0, 19, 20], *[[0, 0, 10, 20]] * 2])


def test_nobody_anywhere():
    arrays = dataset_arrays([make_item('a.jpg', [], [])])
    assert arrays['gt_bboxes'].shape == arrays['query_bboxes'].shape == (0, 4)
    assert arrays['gt_pids'].dtype == arrays['query_ids'].dtype == np.int64


def test_a_split_without_queries_is_refused():
    items = [make_item('a.jpg', [], []), make_item('b.jpg', [], [])]
    del items[1]['queries']
    with pytest.raises(ValueError, match=r"item of 'b\.jpg' has no queries"):
        dataset_arrays(items)
