"""Who is in which frame: cameras, frame names, and identities of long-tailed frequency."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ANONYMOUS = -2
"""PRW's id of a person without identity."""

PEOPLE = (2, 6)
"""Fewest and most people in a frame."""
ANONYMOUS_SHARE = 0.17
"""PRW: 3,141 of the 18,048 training boxes."""
_FEWEST = 2
_STEP = 25
"""PRW annotates every 25th frame."""
_PLANS = 4


@dataclass(frozen=True)
class FramePlan:
    """One frame to be drawn."""

    name: str
    split: int
    index: int
    camera_id: int
    people: tuple[int, ...]


def plan_split(seed: int, split: int, *, frames: int, cameras: int, pids: range) -> list[FramePlan]:
    """Decide who is seen in each frame of a split.

    Frames are named as PRW's, in the order of cameras and time. Frequencies fall off roughly
    as a power of the rank; nobody is in a frame twice, and everyone is seen at least twice,
    by two cameras.

    Args:
        seed: Seed of the whole sample.
        split: 0 train, 1 test.
        frames: Number of frames.
        cameras: Number of cameras.
        pids: PRW ids of the identities.

    Raises:
        ValueError: There are too few frames or cameras for so many identities.
    """
    name = ('train', 'test')[split]
    if min(frames, cameras) < 2:
        raise ValueError(f'{name}: everyone is seen by two cameras, so 2 frames and cameras needed')
    rng = np.random.default_rng([seed, _PLANS, split])
    camera_of = np.sort(np.arange(frames) % cameras) + 1
    total = rng.integers(PEOPLE[0], PEOPLE[1] + 1, frames)
    named = rng.binomial(total, 1 - ANONYMOUS_SHARE)
    people = _assign(rng, camera_of, named, pids, name)
    plans = []
    ordinal = np.zeros(cameras + 1, dtype=int)
    for index, camera_id in enumerate(camera_of.tolist()):
        ordinal[camera_id] += 1
        strangers = int(total[index] - named[index])
        plans.append(
            FramePlan(
                name=f'c{camera_id}s{split + 1}_{_STEP * ordinal[camera_id] + 126:06d}',
                split=split,
                index=index,
                camera_id=camera_id,
                people=(*people[index], *[ANONYMOUS] * strangers),
            )
        )
    return plans


def _assign(
    rng: np.random.Generator,
    camera_of: npt.NDArray[np.int64],
    named: npt.NDArray[np.int64],
    pids: range,
    split: str,
) -> list[list[int]]:
    """The identities in each frame; frame i has room for ``named[i]`` of them."""
    room = named.copy()
    if room.sum() < 3 * len(pids):
        raise ValueError(
            f'{split}: {len(pids)} identities do not fit into {len(room)} frames that show '
            f'{int(room.sum())} of them; '
            f'ask for {int(len(pids) * 1.5) + 1} frames or fewer identities'
        )
    people: list[list[int]] = [[] for _ in room]
    order = rng.permutation(np.array(pids))
    present: dict[int, list[int]] = {}

    def put(pid: int, where: npt.NDArray[np.int64]) -> None:
        for frame in where.tolist():
            people[frame].append(pid)
            room[frame] -= 1
            present.setdefault(pid, []).append(frame)

    # Everyone first in two cameras, in frames with much room, then the long tail.
    for pid in order.tolist():
        first = _choose(rng, room, 1)
        put(pid, first)
        elsewhere = np.where(camera_of == camera_of[first[0]], 0, room)
        put(pid, _choose(rng, elsewhere, 1))
    weights = 1 / (np.arange(len(order)) + 2.5) ** 0.9
    wanted = weights / weights.sum() * named.sum()
    for pid, count in zip(order.tolist(), np.floor(wanted - _FEWEST).astype(int), strict=True):
        free = room.copy()
        free[present[pid]] = 0
        put(pid, _choose(rng, free, min(int(count), int(np.count_nonzero(free)))))
    return people


def _choose(
    rng: np.random.Generator, room: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    """``count`` different frames, each likelier the more room it has."""
    if count <= 0:
        return np.empty(0, dtype=np.int64)
    share = room / room.sum()
    return rng.choice(len(room), size=count, replace=False, p=share)
