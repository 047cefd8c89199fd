"""Which frames of which sources a shard covers, also those with nobody in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class SourceEnd:
    """Where a source was found to end.

    Attributes:
        frames: how many frames it has.
        size: bytes of its file when it was read; another size says that there is more now.
        problem: why it broke off there; '' if it ended as it should.
        samplings: samples of its frames, such as 'fps=2', that are done to the end.
    """

    frames: int
    size: int
    problem: str = ''
    samplings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Coverage:
    """What is done of one source.

    Attributes:
        frames: numbers of the frames that were searched for persons.
        end: None while nobody has come to its end.
    """

    frames: frozenset[int]
    end: SourceEnd | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data, for :meth:`from_json`."""
        end = {} if self.end is None else {'end': vars(self.end)}
        return {'frames': to_runs(self.frames)} | end

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> 'Coverage':
        """The reverse of :meth:`to_json`."""
        end = plain.get('end')
        if end is not None:
            end = SourceEnd(**end | {'samplings': tuple(end['samplings'])})
        return cls(from_runs(plain['frames']), end)


NOTHING = Coverage(frozenset())
"""Of a source nobody has looked at."""


@dataclass(frozen=True)
class SourceStatus:
    """What a gallery has of one source.

    Attributes:
        source: file of the image or video.
        frames: how many of its frames were searched for persons.
        persons: rows found in them.
        end: where it ended; None while nobody has come there.
    """

    source: str
    frames: int
    persons: int
    end: SourceEnd | None


def merge(parts: Sequence[Coverage]) -> Coverage:
    """What all parts of one source have done; the end is that of the largest file."""
    if len(parts) == 1:
        return parts[0]
    ends = [part.end for part in parts if part.end is not None]
    end = max(ends, key=lambda end: end.size, default=None)
    if end is not None:
        samplings = {s for other in ends if other.size == end.size for s in other.samplings}
        end = replace(end, samplings=tuple(sorted(samplings)))
    return Coverage(frozenset().union(*(part.frames for part in parts)), end)


def to_runs(frames: Iterable[int]) -> list[list[int]]:
    """Frames as runs ``[first, last, step]``: every n-th frame of a long video is one of them.

    Args:
        frames: numbers of frames in any order.
    """
    runs: list[list[int]] = []
    for frame in sorted(set(frames)):
        run = runs[-1] if runs else None
        if run is not None and run[0] == run[1]:
            run[1:] = [frame, frame - run[0]]
        elif run is not None and frame == run[1] + run[2]:
            run[1] = frame
        else:
            runs.append([frame, frame, 1])
    return runs


def from_runs(runs: Iterable[Iterable[int]]) -> frozenset[int]:
    """The frames that :func:`to_runs` was given."""
    return frozenset(frame for first, last, step in runs for frame in range(first, last + 1, step))
