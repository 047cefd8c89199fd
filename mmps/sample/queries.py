"""Choosing the queries among the annotated people of the test frames."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from .plan import ANONYMOUS, FramePlan
from .scene import Box

_QUERIES = 4
_CLEAR = 0.5
"""Queries show at least this share of the person where the identity has such boxes."""


def choose_queries(
    seed: int, frames: Iterable[tuple[FramePlan, list[Box]]], *, per_identity: int
) -> list[tuple[str, Box]]:
    """Frame name and box of each query, in the order of identities.

    An identity's queries are of different frames, and of as many cameras as it is seen by.

    Args:
        seed: Seed of the whole sample.
        frames: Test frames with their boxes.
        per_identity: Most queries of one identity.
    """
    rng = np.random.default_rng([seed, _QUERIES])
    seen: dict[int, list[tuple[FramePlan, Box]]] = defaultdict(list)
    for frame, boxes in frames:
        for box in boxes:
            if box.pid != ANONYMOUS:
                seen[box.pid].append((frame, box))
    queries = []
    for pid in sorted(seen):
        clear = [entry for entry in seen[pid] if entry[1].visible >= _CLEAR] or seen[pid]
        turns: dict[int, int] = defaultdict(int)
        ranked: list[tuple[int, int, str, Box]] = []
        for number in rng.permutation(len(clear)).tolist():
            frame, box = clear[number]
            ranked.append((turns[frame.camera_id], len(ranked), frame.name, box))
            turns[frame.camera_id] += 1
        ranked.sort(key=lambda entry: entry[:2])
        queries += [(name, box) for _, _, name, box in ranked[:per_identity]]
    return queries
