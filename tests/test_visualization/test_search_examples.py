from pathlib import Path

import numpy as np
import pytest
from person_boxes import LEFT_BOX, RIGHT_BOX

from mmps.evaluation import Predictions, search_predictions
from mmps.visualization import make_examples, spread_queries


def test_spread_takes_best_middle_and_worst() -> None:
    ap = np.array([0.1, 0.9, 0.5, 0.3, 0.7])
    assert spread_queries(ap, 3).tolist() == [1, 2, 0]
    assert spread_queries(ap, 9).tolist() == [1, 4, 2, 3, 0]
    assert spread_queries(ap, 1).tolist() == [1]
    assert spread_queries(np.zeros(0), 3).tolist() == []


def test_equal_precisions_keep_their_order() -> None:
    assert spread_queries(np.full(4, 0.5), 4).tolist() == [0, 1, 2, 3]


def test_make_examples(predictions: Predictions, scenes: list[Path]) -> None:
    search = search_predictions(predictions, num_ranked=3)
    best, worst = make_examples(predictions, search, queries=spread_queries(search.ap, 2), topk=3)
    assert best.average_precision == 1
    assert worst.average_precision < 1
    assert (best.pid, best.image, best.num_true) == (0, scenes[0], 2)
    np.testing.assert_array_equal(best.bbox, LEFT_BOX)
    first, second, third = best.results
    assert (first.correct, second.correct, third.correct) == (True, True, False)
    assert first.similarity > second.similarity > third.similarity
    np.testing.assert_array_equal(first.gt_bboxes, LEFT_BOX[None])
    # Its person is in the second scene only, where the right detection comes third.
    assert (worst.pid, worst.num_true) == (1, 1)
    assert [result.correct for result in worst.results] == [False, False, True]
    assert [len(result.gt_bboxes) for result in worst.results] == [1, 0, 1]
    np.testing.assert_array_equal(worst.results[2].gt_bboxes, RIGHT_BOX[None])


def test_topk_and_short_rankings(predictions: Predictions) -> None:
    search = search_predictions(predictions, num_ranked=10)
    one = np.array([0])
    assert len(make_examples(predictions, search, queries=one, topk=2)[0].results) == 2
    # Four detections are in the gallery of every query.
    assert len(make_examples(predictions, search, queries=one, topk=10)[0].results) == 4


def test_moved_data(predictions: Predictions, tmp_path: Path) -> None:
    moved = tmp_path / 'moved'
    (tmp_path / 'frames').rename(moved)
    search = search_predictions(predictions)
    with pytest.raises(FileNotFoundError, match=r'c\ds1_00000\d\.png is missing'):
        make_examples(predictions, search, queries=np.array([0]), topk=1)
    (example,) = make_examples(predictions, search, queries=np.array([0]), topk=1, data_root=moved)
    assert example.image == moved / 'c1s1_000001.png'
