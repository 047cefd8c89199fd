"""From footage to a gallery: every frame of the sample is searched for persons, once."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .coverage import NOTHING
from .prefetch import prefetch
from .reading import WHOLE, Finished, Share, read_sources
from .schema import make_rows
from .shard_writer import ShardWriter
from .sources import Frame, is_video, normalise
from .store import Gallery
from .videos import Decoder, Sampling

DEFAULT_FPS = 2.0
"""Frames a second of a video, where nothing else is said."""


class Found(Protocol):
    """The N persons of an image; :class:`mmps.apis.Persons` is one."""

    @property
    def bboxes(self) -> NDArray[np.float32]:
        """(N, 4), x1, y1, x2, y2 in pixels."""

    @property
    def scores(self) -> NDArray[np.float32]:
        """(N,)."""

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """(N, D) of norm 1."""


class Detector(Protocol):
    """What finds and embeds persons; :class:`mmps.apis.PersonSearchInferencer` is one."""

    @property
    def model_id(self) -> str:
        """The same for those that give the same embeddings."""

    def detect(self, images: Sequence[NDArray[np.uint8]], *, batch_size: int) -> Sequence[Found]:
        """Persons of BGR images."""


@dataclass(frozen=True)
class Progress:
    """How far :func:`index_sources` is.

    Attributes:
        source: what is being read.
        sources_done: how many sources were read to their end,
        sources: of so many.
        part: how much of this one is read, 0 to 1.
        frames: searched in this run.
        persons: found in this run.
    """

    source: str
    sources_done: int
    sources: int
    part: float
    frames: int
    persons: int


@dataclass(frozen=True)
class IndexReport:
    """What :func:`index_sources` has done.

    Attributes:
        sources: how many images and videos there are.
        frames: how many frames were searched.
        persons: found in them.
        frames_before: how many frames of these sources the gallery had before.
        problems: what could not be read, or only in part, and why.
        seconds: that it took.
    """

    sources: int
    frames: int
    persons: int
    frames_before: int
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def index_sources(
    gallery: Gallery,
    detector: Detector,
    sources: Sequence[str],
    *,
    every: int | None = None,
    fps: float | None = None,
    camera: str = '',
    camera_pattern: str | None = None,
    start: float | None = None,
    decoder: Decoder = 'auto',
    batch_size: int = 1,
    share: Share = WHOLE,
    rows_per_shard: int = 4096,
    seconds_per_shard: float = 60.0,
    on_progress: Callable[[Progress], None] | None = None,
) -> IndexReport:
    """Search images and videos for persons and add them to a gallery.

    Frames that the gallery has are left out, so that a run that was killed goes on where it was;
    what was found is in the gallery after ``seconds_per_shard`` at the latest.

    Args:
        gallery: where to.
        detector: finds and embeds persons.
        sources: images and videos, as :func:`find_sources` gives them. What is no longer there is a
            problem like others.
        every: of a video, look at one frame of so many; or
        fps: at so many a second (``DEFAULT_FPS`` if neither is given).
        camera: name of the camera of all sources; or
        camera_pattern: regular expression with one group, the camera, which is looked for in the
            path of each source; '' is the camera of those in which it is not found.
        start: when the videos begin, in seconds since 1970. Images have their time from EXIF.
        decoder: what reads videos.
        batch_size: frames of one size that go through the network together.
        share: which part of the frames is this process's; the others are left to others.
        rows_per_shard: persons that are written at once, at most about so many.
        seconds_per_shard: persons are written after so much time, however few there are.
        on_progress: called after each batch and each source.

    Returns:
        What was done, and what could not be read.

    Raises:
        ValueError: the gallery is of another model, or an argument is wrong.
    """
    if detector.model_id != gallery.model_id:
        raise ValueError(
            f'{gallery.root}: made with another model (id {gallery.model_id}) than this one (id '
            f'{detector.model_id}); their embeddings cannot be compared. Use that one, '
            f'{gallery.model}, or another folder for a new gallery.'
        )
    for source in sources:
        if source != normalise(source):
            raise ValueError(f'{source}: not a whole path; find_sources gives those of all sources')
    if gallery.deletion_is_pending():
        raise ValueError(
            f'{gallery.root}: a deletion was broken off. Finish it: mmps delete {gallery.root}'
        )
    sampling = Sampling(every, DEFAULT_FPS if every is None and fps is None else fps)
    camera_of = _naming(camera, camera_pattern)
    offset = start or 0.0
    began = time.monotonic()
    done = gallery.coverage()
    problems: list[str] = []
    sources_done = frames = persons = 0
    searched: set[int] = set()  # frames of the source that is being read
    events = read_sources(sources, done, sampling=sampling, share=share, decoder=decoder)
    with (
        ShardWriter(
            gallery, rows_per_shard=rows_per_shard, seconds_per_shard=seconds_per_shard
        ) as writer,
        closing(prefetch(events, ahead=2 * batch_size)) as prefetched,
    ):
        for event in _in_batches(prefetched, batch_size):
            if isinstance(event, Finished):
                sources_done += 1
                source, part = event.source, 0.0
                if event.problem:
                    problems.append(event.problem)
                if event.end is not None:
                    whole = event.sample <= done.get(source, NOTHING).frames | searched
                    samplings = (str(sampling),) if whole else ()
                    writer.end(source, replace(event.end, samplings=samplings))
                searched = set()
            else:
                images = [frame.image for frame in event]
                for frame, found in zip(
                    event, detector.detect(images, batch_size=batch_size), strict=True
                ):
                    rows = make_rows(
                        frame.source,
                        frame.number,
                        image=frame.image,
                        bboxes=found.bboxes,
                        scores=found.scores,
                        embeddings=found.embeddings,
                        time=frame.time + (offset if is_video(frame.source) else 0.0),
                        camera=camera_of(frame.source),
                    )
                    writer.add(frame.source, frame.number, rows)
                    searched.add(frame.number)
                    frames, persons = frames + 1, persons + rows.num_rows
                source, part = frame.source, frame.part
            if on_progress is not None:
                on_progress(Progress(source, sources_done, len(sources), part, frames, persons))
    return IndexReport(
        sources=len(sources),
        frames=frames,
        persons=persons,
        frames_before=sum(len(done[source].frames) for source in sources if source in done),
        problems=problems,
        seconds=time.monotonic() - began,
    )


def _naming(camera: str, pattern: str | None) -> Callable[[str], str]:
    """A function from a source's path to the name of its camera.

    Raises:
        ValueError: both are given, or the pattern has not exactly one group.
    """
    if pattern is None:
        return lambda source: camera
    if camera:
        raise ValueError('give either the name of the camera or a pattern for it, not both')
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f'camera pattern {pattern!r}: {error}') from error
    if expression.groups != 1:
        raise ValueError(
            f'camera pattern {pattern!r}: it needs one group, the camera, such as (c[0-9]+)s; it '
            f'has {expression.groups}'
        )

    def named(source: str) -> str:
        match = expression.search(source)
        return (match[1] or '') if match else ''

    return named


def _in_batches(
    events: Iterable[Frame | Finished], batch_size: int
) -> Iterator[list[Frame] | Finished]:
    """Frames in batches of one size each, so that what is found does not hang on neighbours."""
    batch: list[Frame] = []
    for event in events:
        other = isinstance(event, Finished) or (batch and event.image.shape != batch[0].image.shape)
        if batch and (other or len(batch) == batch_size):
            yield batch
            batch = []
        if isinstance(event, Finished):
            yield event
        else:
            batch.append(event)
    assert not batch
