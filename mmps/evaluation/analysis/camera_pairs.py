"""Between which cameras a search works, and between which it does not.

Shape shorthand: C cameras, Q queries, I images.
"""

from dataclasses import dataclass, replace

import numpy as np

from mmps.evaluation.functional.protocol import Protocol
from mmps.evaluation.functional.ranges import indptr_from_counts

from .inputs import SearchInputs


@dataclass(frozen=True)
class CameraPairs:
    """Figures of queries from one camera in the scenes of one camera.

    Args:
        cameras: their ids, (C,) int64, ascending.
        num_queries: queries of the camera of the row whose target is in some gallery scene of the
            camera of the column, (C, C) int64; only they count.
        mean_ap: (C, C), fractions, NaN without such queries.
        top1: (C, C), likewise.
    """

    cameras: np.ndarray
    num_queries: np.ndarray
    mean_ap: np.ndarray
    top1: np.ndarray


def camera_pairs(
    inputs: SearchInputs, *, query_camera: np.ndarray, image_camera: np.ndarray
) -> CameraPairs:
    """Search in the scenes of one camera after the other.

    What the protocol leaves out for a query, such as its own scene, does not count here, either:
    with a protocol that leaves out the own camera the diagonal is empty.

    Args:
        inputs: the search.
        query_camera: (Q,) int64, negative where unknown; such queries do not count.
        image_camera: (I,) int64, negative where unknown; such scenes do not count.

    Raises:
        ValueError: if there are scenes of fewer than two cameras.
    """
    cameras = np.unique(image_camera[image_camera >= 0])
    if len(cameras) < 2:
        raise ValueError(
            f'Camera pairs need the scenes of two cameras or more, there are {len(cameras)}: '
            'the camera_ids of the predictions come from the data set'
        )
    shape = (len(cameras), len(cameras))
    num, ap, top1 = np.zeros(shape, np.int64), np.full(shape, np.nan), np.full(shape, np.nan)
    for column, camera in enumerate(cameras):
        result = _in_scenes(inputs, image_camera == camera).evaluate()
        for row, other in enumerate(cameras):
            counted = (query_camera == other) & (result.num_targets > 0)
            num[row, column] = counted.sum()
            if counted.any():
                ap[row, column] = result.ap[counted].mean()
                top1[row, column] = result.hits[counted, 0].mean()
    return CameraPairs(cameras=cameras, num_queries=num, mean_ap=ap, top1=top1)


def _in_scenes(inputs: SearchInputs, counts: np.ndarray) -> SearchInputs:
    """The same search where only the images with ``counts`` (I,) bool have anything in them."""
    detected = counts[inputs.det_image]
    return replace(
        inputs,
        det_embeddings=inputs.det_embeddings[detected],
        det_image=inputs.det_image[detected],
        det_bboxes=inputs.det_bboxes[detected],
        det_scores=inputs.det_scores[detected],
        protocol=_targets_in(inputs.protocol, counts),
    )


def _targets_in(protocol: Protocol, counts: np.ndarray) -> Protocol:
    kept = counts[protocol.target_image[protocol.target_indices]]
    query = np.repeat(np.arange(protocol.num_queries), np.diff(protocol.target_indptr))
    per_query = np.bincount(query[kept], minlength=protocol.num_queries)
    return replace(
        protocol,
        target_indptr=indptr_from_counts(per_query),
        target_indices=protocol.target_indices[kept],
        num_to_find=None,  # counted over all cameras
    )
