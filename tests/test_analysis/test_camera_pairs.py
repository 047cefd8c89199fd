from dataclasses import replace

import numpy as np
import pytest
from searches import BOX, OTHER, make_inputs

from mmps.evaluation.analysis import camera_pairs

# Scenes 0, 1 of camera 1; 2, 3 of camera 2; 4 of camera 5; 5 of an unknown one.
CAMERAS = np.array([1, 1, 2, 2, 5, -1])
GTS = [(0, BOX, 7), (1, BOX, 7), (2, BOX, 7), (3, BOX, 7), (5, BOX, 7), (2, OTHER, 8)]
DETS = [
    (0, BOX, 0.9),
    (1, OTHER, 0.8),
    (1, BOX, 0.7),
    (2, BOX, 0.6),
    (3, OTHER, 0.5),
    (4, OTHER, 0.9),
    (5, BOX, 1.0),
]


def pairs(queries, **changes):
    inputs = replace(make_inputs(DETS, GTS, queries, num_images=6), **changes)
    images = np.array([image for image, _ in queries])
    return camera_pairs(inputs, query_camera=CAMERAS[images], image_camera=CAMERAS)


def test_by_hand():
    result = pairs([(0, 7), (2, 7), (3, 7), (5, 7), (2, 8)])
    assert result.cameras.tolist() == [1, 2, 5]
    # The query of scene 5 has no known camera; person 8 is in its own scene only.
    assert result.num_queries.tolist() == [[1, 1, 0], [2, 2, 0], [0, 0, 0]]
    nan = np.nan
    # In camera 1: (0, 7) has 0.8 wrong, 0.7 right. (2, 7) and (3, 7) also 0.9 right first.
    # In camera 2: (0, 7) has 0.6 right, 0.5 wrong, and the box of scene 3 not found; (2, 7) has
    # nothing of scene 3; (3, 7) has 0.6 right and no other target.
    expected = [
        [1 / 2, 1 / 2, nan],
        [(1 + 2 / 3) / 2, (0 + 1) / 2, nan],
        [nan, nan, nan],
    ]
    np.testing.assert_allclose(result.mean_ap, expected)
    np.testing.assert_allclose(result.top1, [[0, 1, nan], [1, 0.5, nan], [nan, nan, nan]])


def test_a_protocol_across_cameras_leaves_the_diagonal_empty():
    inputs = make_inputs(DETS, GTS, [(0, 7)], num_images=6)
    protocol = replace(inputs.protocol, image_group=CAMERAS, query_group=CAMERAS[[0]])
    result = pairs([(0, 7)], protocol=protocol)
    assert result.num_queries.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert result.mean_ap[0, 1] == 0.5


def test_what_a_protocol_counts_over_all_cameras_is_not_asked_for_in_one():
    inputs = make_inputs(DETS, GTS, [(0, 7)], num_images=6)
    result = pairs([(0, 7)], protocol=replace(inputs.protocol, num_to_find=np.array([9])))
    assert result.mean_ap[0].tolist()[:2] == [0.5, 0.5]


def test_one_camera_is_too_few():
    inputs = make_inputs(DETS, GTS, [(0, 7)], num_images=6)
    for cameras, number in ((np.full(6, -1), 0), (np.array([3, 3, 3, 3, 3, -1]), 1)):
        with pytest.raises(ValueError, match=f'two cameras or more, there are {number}:'):
            camera_pairs(inputs, query_camera=cameras[[0]], image_camera=cameras)
