"""Frames of videos by PyAV: exact times, and only as much is decoded as is needed."""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import av
import numpy as np

from .coverage import SourceEnd
from .sources import Frame, UnreadableError
from .videos import Sampling, Todo, problem_of_end


def read_by_pyav(
    path: str, sampling: Sampling, todo: Todo, size: int
) -> Iterator[Frame | SourceEnd]:
    """As :func:`mmps.gallery.videos.read_video`; ``size`` is that of the file in bytes.

    The file is read through once without decoding, for the times of all frames. Then it is decoded
    from the last key frame before a frame that is to be read, or on from the one before.
    """
    try:
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = 'AUTO'
            yield from _read(container, stream, path, sampling, todo, size)
    except IndexError as error:  # also of files whose end, with the list of streams, is missing
        raise UnreadableError(f'{path}: no video in it') from error
    except av.error.FFmpegError as error:
        raise UnreadableError(f'{path}: PyAV cannot read it ({error.strerror})') from error


def _read(
    container: Any, stream: Any, path: str, sampling: Sampling, todo: Todo, size: int
) -> Iterator[Frame | SourceEnd]:
    times, keys = _times(container, stream)
    if not times:
        raise UnreadableError(f'{path}: no frame of it can be decoded')
    announced = stream.frames
    if not announced and container.duration and stream.average_rate:
        announced = int(container.duration / av.time_base * stream.average_rate)
    seconds = [float((time - times[0]) * stream.time_base) for time in times]
    numbers = [
        number
        for number, (before, time) in enumerate(pairwise([0.0, *seconds]))
        if sampling.takes(number, time, before) and todo(number)
    ]
    frame: Any = None
    frames: Iterator[Any] = iter(())
    lost = 0
    for number in numbers:
        key = keys[max(0, bisect_right(keys, times[number]) - 1)]
        if frame is None or frame.pts < key:
            container.seek(key, stream=stream)
            frames = _decode(container, stream)
            frame = next(frames, None)
        while frame is not None and frame.pts < times[number]:
            frame = next(frames, None)
        if frame is None or frame.pts > times[number]:
            lost += 1
            continue
        # Phones store a turned picture and by how much it is to be turned.
        image = np.rot90(frame.to_ndarray(format='bgr24'), round(frame.rotation / 90))
        yield Frame(path, number, np.ascontiguousarray(image), seconds[number], announced)
    problem = problem_of_end(path, len(times), announced)
    if lost and not problem:
        problem = f'{path}: {lost} of its frames cannot be decoded'
    yield SourceEnd(len(times), size, problem)


def _times(container: Any, stream: Any) -> tuple[list[int], list[int]]:
    """When each frame and each key frame is shown, in units of the stream, sorted."""
    times, keys = [], []
    with suppress(av.error.FFmpegError):  # it breaks off: there is less than was announced
        for packet in container.demux(stream):
            if packet.pts is not None and not packet.is_discard:
                times.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
    return sorted(times), sorted(keys)


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    """Frames from where the container stands, passing over what is damaged."""
    with suppress(av.error.FFmpegError):  # it breaks off
        for packet in container.demux(stream):
            with suppress(av.error.FFmpegError):
                yield from packet.decode()
