from dataclasses import replace

import numpy as np
import pytest
from searches import BOX, OTHER, make_inputs

from mmps.evaluation.analysis import score_sweep
from mmps.evaluation.analysis.inputs import SearchInputs

GTS = [(0, BOX, 7), (1, BOX, 7), (2, BOX, 7), (2, OTHER, -1)]
DETS = [(0, BOX, 1.0), (1, BOX, 0.8), (1, OTHER, 0.9), (2, BOX, 0.7), (2, OTHER, 0.1)]
SCORES = np.array([0.9, 0.9, 0.4, 0.6, 0.6], np.float32)


def sweep(**changes):
    inputs = make_inputs(DETS, GTS, [(0, 7)], num_images=3)
    return score_sweep(
        replace(inputs, det_scores=SCORES),
        gt_image=np.array([g[0] for g in GTS]),
        gt_bboxes=np.array([g[1] for g in GTS], np.float32),
        **changes,
    )


def test_by_hand():
    result = sweep(thresholds=(0.95, 0.5, 0.0, 0.7))
    assert result.thresholds.tolist() == [0, 0.5, 0.7, 0.95]
    assert result.num_detections.tolist() == [5, 4, 2, 0]
    np.testing.assert_allclose(result.recall, [1, 1, 0.5, 0])
    # all: two at 0.9 right, then two at 0.6 right, then one wrong
    np.testing.assert_allclose(result.ap, [1, 1, 0.5, 0])
    # 0.9 wrong, 0.8 right, 0.7 right | 0.8, 0.7 right | 0.8 right, the other not detected | nothing
    np.testing.assert_allclose(result.mean_ap, [(1 / 2 + 2 / 3) / 2, 1, 0.5, 0])
    assert result.top1.tolist() == [0, 1, 1, 0]


def test_thresholds_that_keep_the_same_are_searched_once(monkeypatch: pytest.MonkeyPatch):
    searched = []
    evaluate = SearchInputs.evaluate
    monkeypatch.setattr(
        SearchInputs, 'evaluate', lambda inputs: searched.append(inputs) or evaluate(inputs)
    )
    result = sweep(thresholds=(0.0, 0.1, 0.2, 0.5, 0.6))
    assert [inputs.score_thr for inputs in searched] == [0, 0.5]
    assert result.num_detections.tolist() == [5, 5, 5, 4, 4]
    np.testing.assert_allclose(result.mean_ap, [7 / 12, 7 / 12, 7 / 12, 1, 1])
