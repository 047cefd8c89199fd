"""Which detections of a video are one person walking through it.

A detection continues the track that it resembles most, by appearance and place together, one to
one (linear assignment). A track is its last detection: nothing is predicted, so that the tracks of
a video's beginning stay what they are when more of it is indexed.

Shapes: N detections in the order of their frames, D dimensions of an embedding.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mmps.evaluation.functional.matching import paired_iou

MAX_STEPS = 4
"""A track goes on after so many sampled frames at most,"""
MAX_SECONDS = 2.0
"""or after so much time, whichever is longer."""

IOU_WEIGHT = 0.5
"""Weight of a box's overlap beside the cosine of the embeddings, which has weight 1."""
MIN_AFFINITY = 0.6
"""Less than this does not continue a track: a cosine of 0.6 alone, of 0.35 with an IoU of 0.5."""

HEIGHTS_PER_SECOND = 3.0
"""Nobody moves faster: some 5 m/s."""

NONE = -1
"""Of detections that are yet to be linked."""


def link_tracks(
    steps: NDArray[np.int64],
    times: NDArray[np.float64],
    bboxes: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    *,
    known: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Link the detections of a video to tracks.

    Args:
        steps: (N,), never falling: number of the detection's frame among those looked at.
        times: (N,) seconds; NaN where not known.
        bboxes: (N, 4), x1, y1, x2, y2 in pixels.
        embeddings: (N, D) of norm 1.
        known: (N,): for the detections of the first frames, the track of each; NONE for the rest.

    Returns:
        (N,): for each detection, the first one of its track.
    """
    tracks = known.copy()
    starts = np.flatnonzero(np.diff(steps, prepend=-1))
    ends = np.append(starts[1:], len(steps))
    last = np.zeros(0, dtype=np.int64)  # of each track that may go on
    for start, end in zip(starts, ends, strict=True):
        here = np.arange(start, end)
        with np.errstate(invalid='ignore'):
            recent = (steps[start] - steps[last] <= MAX_STEPS) | (
                times[start] - times[last] <= MAX_SECONDS
            )
        last = last[recent]
        if tracks[start] == NONE:
            tracks[here] = here
            affinity = _affinity(last, here, times, bboxes, embeddings)
            olds, news = linear_sum_assignment(affinity, maximize=True)
            linked = affinity[olds, news] > 0
            tracks[here[news[linked]]] = tracks[last[olds[linked]]]
        last = np.append(last[~np.isin(tracks[last], tracks[here])], here)
    return tracks


def _affinity(
    last: NDArray[np.int64],
    here: NDArray[np.int64],
    times: NDArray[np.float64],
    bboxes: NDArray[np.float32],
    embeddings: NDArray[np.float32],
) -> NDArray[np.float64]:
    """How well detections continue tracks, (tracks, detections); 0 where they cannot."""
    pairs = np.repeat(bboxes[last], len(here), axis=0), np.tile(bboxes[here], (len(last), 1))
    iou = paired_iou(*pairs).reshape(len(last), len(here))
    affinity = embeddings[last] @ embeddings[here].T + IOU_WEIGHT * iou

    old, new = bboxes[last][:, None], bboxes[here][None]
    moved = old[..., :2] + old[..., 2:] - new[..., :2] - new[..., 2:]
    tall = (old[..., 3] - old[..., 1]) + (new[..., 3] - new[..., 1])
    heights = np.linalg.norm(moved, axis=-1) / np.maximum(tall, 1e-9)
    # At least a height: boxes jitter. Also where times are NaN.
    reach = np.fmax(1.0, HEIGHTS_PER_SECOND * (times[here][None] - times[last][:, None]))
    return np.where((heights <= reach) & (affinity >= MIN_AFFINITY), affinity, 0.0)
