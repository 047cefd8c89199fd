"""All frames of images and videos that are yet to be searched, by one process or several."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .coverage import NOTHING, Coverage, SourceEnd
from .sources import Frame, UnreadableError, is_video, read_image
from .videos import Decoder, Sampling, read_video

# So many frames of the sample of a video, one after another, go to the same process: few enough
# for a short video to occupy many, enough for a decoder that must start at a key frame.
_FRAMES_OF_A_SHARE = 16


@dataclass(frozen=True)
class Share:
    """Which part of the work is this process's.

    Attributes:
        rank: number of the process,
        of: among so many.
    """

    rank: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.of:
            raise ValueError(f'share: there is no process {self.rank} among {self.of}')

    def has(self, source: str, place: int) -> bool:
        """Whether a frame is in it; each is in that of exactly one process.

        Args:
            source: by which the first frames are spread, since most sources may be images.
            place: of the frame in the sample of its source.
        """
        first = int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], 'big')
        return (first + place // _FRAMES_OF_A_SHARE) % self.of == self.rank


WHOLE = Share()
"""All the work."""


@dataclass(frozen=True)
class Finished:
    """A source was read to its end, or cannot be.

    Attributes:
        source: the file.
        problem: why it was not read, or not as a whole; '' if it was.
        end: of a video that was read just now, where it ended.
        sample: of such a video, which frames can be looked at, by this process or others.
    """

    source: str
    problem: str = ''
    end: SourceEnd | None = None
    sample: frozenset[int] = frozenset()


def read_sources(
    sources: Iterable[str],
    done: Mapping[str, Coverage],
    *,
    sampling: Sampling,
    share: Share,
    decoder: Decoder,
) -> Iterator[Frame | Finished]:
    """Frames that are not done, one source after another.

    Args:
        sources: images and videos, by their whole paths.
        done: what is done of each source.
        sampling: which frames of videos are looked at.
        share: which of them are this process's.
        decoder: what reads videos.

    Yields:
        The frames of each source and, once for each source, that it is finished.
    """
    for source in sources:
        coverage = done.get(source, NOTHING)
        try:
            if is_video(source):
                yield from _read_video(source, coverage, sampling, share, decoder)
            else:
                if not coverage.frames and share.has(source, 0):
                    yield read_image(source)
                yield Finished(source)
        except UnreadableError as error:
            yield Finished(source, str(error))
        except OSError as error:  # removed a moment ago, not ours to read, ...
            yield Finished(source, f'{source}: {error.strerror or error}')


def _read_video(
    source: str, coverage: Coverage, sampling: Sampling, share: Share, decoder: Decoder
) -> Iterator[Frame | Finished]:
    size = os.path.getsize(source)
    known = coverage.end
    if known is not None and known.size == size and str(sampling) in known.samplings:
        yield Finished(source, known.problem)
        return
    sample: list[int] = []
    awaited: set[int] = set()

    def todo(number: int) -> bool:
        sample.append(number)
        asked = number not in coverage.frames and share.has(source, len(sample) - 1)
        if asked:
            awaited.add(number)
        return asked

    for event in read_video(source, sampling, todo, decoder=decoder):
        if isinstance(event, Frame):
            awaited.discard(event.number)
            yield event
        else:  # what is awaited still cannot be decoded, the next time neither
            yield Finished(source, event.problem, event, frozenset(sample) - awaited)
