"""Frames of videos, read by OpenCV or, with exact times and without decoding all, by PyAV."""

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import floor, nan
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .coverage import SourceEnd
from .sources import Frame, UnreadableError

Decoder = Literal['auto', 'opencv', 'pyav']
"""'auto' is PyAV where it is installed, else OpenCV."""

Todo = Callable[[int], bool]
"""Asked for each frame of the sample, in order: whether it is to be read."""


@dataclass(frozen=True)
class Sampling:
    """Which frames of a video are looked at.

    Attributes:
        every: one frame of so many; or
        fps: the first frame of each 1/fps seconds.
    """

    every: int | None = None
    fps: float | None = None

    def __post_init__(self) -> None:
        if (self.every is None) == (self.fps is None):
            raise ValueError('give one of every and fps')
        if self.every is not None and self.every < 1:
            raise ValueError(f'every: one frame of {self.every}? It must be at least 1.')
        if self.fps is not None and not 0 < self.fps < float('inf'):
            raise ValueError(f'fps: {self.fps} frames a second? It must be more than 0.')

    def __str__(self) -> str:
        return f'every={self.every}' if self.every is not None else f'fps={self.fps:g}'

    def takes(self, number: int, time: float, previous: float) -> bool:
        """Whether a frame is one of the sample.

        Args:
            number: of the frame.
            time: of the frame, in seconds since the first.
            previous: time of the frame before.
        """
        if self.every is not None:
            return number % self.every == 0
        assert self.fps is not None
        # The addend is for times such as 0.6 that are a little less as floats.
        return number == 0 or floor(time * self.fps + 1e-6) > floor(previous * self.fps + 1e-6)


def read_video(
    path: str, sampling: Sampling, todo: Todo, *, decoder: Decoder = 'auto'
) -> Iterator[Frame | SourceEnd]:
    """Read frames of a video one after another.

    Args:
        path: the file.
        sampling: which frames are looked at.
        todo: which of those are to be read.
        decoder: what reads them.

    Yields:
        The frames; last of all, where the video ended.

    Raises:
        UnreadableError: nothing of it can be read.
        ImportError: PyAV was asked for and is not installed.
    """
    size = os.path.getsize(path)
    if decoder == 'opencv' or (decoder == 'auto' and not importlib.util.find_spec('av')):
        yield from _read_by_opencv(path, sampling, todo, size)
    else:
        from .pyav_videos import read_by_pyav

        yield from read_by_pyav(path, sampling, todo, size)


def read_frame(path: str, number: int) -> NDArray[np.uint8]:
    """Read one frame of a video, without those long before it.

    Returns:
        BGR, (H, W, 3).

    Raises:
        UnreadableError: the video cannot be read, or has no such frame.
    """
    if importlib.util.find_spec('av'):
        step = max(number, 1)  # the frames 0, number, ...
        for frame in read_video(path, Sampling(every=step), lambda asked: asked == number):
            if isinstance(frame, Frame):
                return frame.image
    else:
        with _capture(path) as capture:
            capture.set(cv2.CAP_PROP_POS_FRAMES, number)
            done, image = capture.read()
            if done:
                return image
    raise UnreadableError(f'{path}: its frame {number} cannot be read')


def problem_of_end(path: str, frames: int, announced: int) -> str:
    """Why a video ended before its announced end; '' if it did not.

    What a file announces may be an estimate from its length: a little less is no break.
    """
    if frames + 2 >= 0.98 * announced:
        return ''
    return f'{path}: breaks off after {frames} of {announced} frames'


def _read_by_opencv(
    path: str, sampling: Sampling, todo: Todo, size: int
) -> Iterator[Frame | SourceEnd]:
    with _capture(path) as capture:
        rate = capture.get(cv2.CAP_PROP_FPS)
        announced = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        if not 0 < rate < 10_000:
            if sampling.fps is not None:
                raise UnreadableError(
                    f'{path}: says no frame rate; sample by --every, or read it by PyAV'
                )
            rate = nan
        number = 0
        while capture.grab():
            time = number / rate
            if sampling.takes(number, time, (number - 1) / rate) and todo(number):
                done, image = capture.retrieve()
                if done:
                    yield Frame(path, number, image, time, announced)
            number += 1
    if number == 0:
        raise UnreadableError(f'{path}: no frame of it can be decoded')
    yield SourceEnd(number, size, problem_of_end(path, number, announced))


@contextmanager
def _capture(path: str) -> Iterator[Any]:
    capture = cv2.VideoCapture(path)
    try:
        if not capture.isOpened():
            raise UnreadableError(f'{path}: OpenCV cannot open it')
        yield capture
    finally:
        capture.release()
