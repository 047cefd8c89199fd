import numpy as np
import pytest

from mmps.calibration import (
    calibrate_pairs,
    expected_calibration_error,
    held_out_error,
    label_pairs,
)
from mmps.evaluation import identity_protocol
from mmps.evaluation.analysis import SearchInputs, similarity_curve

BOX, NEAR, OTHER = (0, 0, 50, 100), (2, 0, 52, 100), (200, 0, 250, 100)


def make_inputs(dets, gts, queries, *, num_images, cws=False):
    """Detections are (image, box, embedding, score), persons (image, box, pid); pid: embedding."""
    columns = list(zip(*dets, strict=True))
    gt_columns = list(zip(*gts, strict=True))
    return SearchInputs(
        query_embeddings=np.array([embedding for _, _, embedding in queries], np.float32),
        det_embeddings=np.array(columns[2], np.float32),
        det_image=np.array(columns[0]),
        det_bboxes=np.array(columns[1], np.float32),
        det_scores=np.array(columns[3], np.float32),
        protocol=identity_protocol(
            np.array(gt_columns[0]),
            np.array(gt_columns[1], np.float32),
            gt_pids=np.array(gt_columns[2]),
            query_image=np.array([image for image, _, _ in queries]),
            query_pids=np.array([pid for _, pid, _ in queries]),
            num_images=num_images,
        ),
        cws=cws,
    )


def test_labels_by_hand():
    dets = [
        (3, OTHER, (-0.5, 0), 0.9),  # images in any order
        (0, BOX, (1, 0), 0.9),  # the query's own image does not count
        (1, BOX, (0.75, 0), 0.9),  # the person
        (1, NEAR, (0.5, 0), 0.9),  # the person a second time: no false alarm
        (1, OTHER, (0.75, 0), 0.9),  # somebody else
        (2, BOX, (0.25, 0), 0.5),  # the person, detected with less certainty
        (2, OTHER, (1, 0), 0.4),  # below the score threshold
    ]
    gts = [(image, BOX, 7) for image in range(4)] + [(2, OTHER, -1)]
    inputs = make_inputs(dets, gts, [(0, 7, (1, 0))], num_images=4, cws=True)
    pairs = label_pairs(inputs, np.array([7]), num_folds=2, num_first=3)
    curve = pairs.curve()
    assert (curve.num_right[0], curve.num_wrong[0]) == (3, 2)
    assert curve.num_targets == 3 + 1, 'in image 3 the person was missed'
    for threshold, right, wrong in [(0.5, 2, 1), (0.75, 1, 1), (0.25, 3, 1), (-0.5, 3, 2)]:
        place = int(np.flatnonzero(curve.thresholds == threshold)[0])
        assert (curve.num_right[place], curve.num_wrong[place]) == (right, wrong), threshold
    order = np.lexsort((pairs.first_same, -pairs.first_similarity))
    assert pairs.first_similarity[order].tolist() == [0.75, 0.75, 0.5], 'not weighted by scores'
    assert pairs.first_same[order].tolist() == [False, True, True]
    # The evaluation calls the second box wrong.
    assert similarity_curve(inputs).num_wrong[0] == 3


def random_search(*, seed, num_persons=40, num_images=200, spread=0.6):
    """Everybody has a direction; embeddings are noisy copies."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(num_persons, 16))
    pids = rng.integers(num_persons, size=num_images)

    def noisy(pid):
        embedding = centre[pid] + spread * rng.normal(size=16) * np.linalg.norm(centre[pid]) / 4
        return embedding / np.linalg.norm(embedding)

    dets = [(image, BOX, noisy(pid), 0.9) for image, pid in enumerate(pids)]
    gts = [(image, BOX, pid) for image, pid in enumerate(pids)]
    queries = [(image, pid, noisy(pid)) for image, pid in enumerate(pids)]
    return make_inputs(dets, gts, queries, num_images=num_images), pids


def test_held_out_persons():
    inputs, pids = random_search(seed=0)
    pairs = label_pairs(inputs, pids, num_folds=4)
    assert len(pairs.first_same) == 200 * 10
    whole, parts = pairs.curve(), [pairs.curve(without=fold) for fold in range(4)]
    assert sum(part.num_right[0] for part in parts) == 3 * whole.num_right[0]
    assert whole.num_right[0] == sum((pids == pid).sum() - 1 for pid in pids)
    assert whole.num_queries == 200
    for pid in np.unique(pids):
        folds = {int(pairs.first_fold[query * 10]) for query in np.flatnonzero(pids == pid)}
        assert len(folds) == 1, 'all queries of a person are held out together'

    error = held_out_error(pairs)
    assert error < 0.05
    calibration = calibrate_pairs(whole, false_alarm_rate=0.01)
    # Similarities taken for probabilities are far worse, so the bound says something.
    assert expected_calibration_error(np.clip(pairs.first_similarity, 0, 1), pairs.first_same) > 0.2
    unseen, unseen_pids = random_search(seed=1)
    other = label_pairs(unseen, unseen_pids)
    probabilities = calibration.probability(other.first_similarity)
    assert expected_calibration_error(probabilities, other.first_same) < 0.06


def test_one_person_alone_cannot_be_held_out():
    inputs, pids = random_search(seed=0, num_persons=1, num_images=6)
    assert held_out_error(label_pairs(inputs, pids)) is None
    with pytest.raises(ValueError, match='no pairs of different persons'):
        calibrate_pairs(label_pairs(inputs, pids).curve(), false_alarm_rate=0.1)
