"""Times of footage, as people write and read them."""

import math
from datetime import datetime, timedelta

_SINCE_1970 = 10**8
"""Seconds: no video is so long, and no footage as old as 1973."""


def parse_time(text: str) -> float:
    """A time in seconds, since 1970 of a date, else as written.

    Args:
        text: ``2026-11-21 12:03:04``, of this machine's time zone unless it names one; or
            ``1:02:03.5``, ``2:03`` or ``123``, since the beginning of a video.

    Raises:
        ValueError: it is none of these.
    """
    try:
        if '-' in text:
            return datetime.fromisoformat(text.strip().replace('Z', '+00:00')).timestamp()
        parts = [float(part) for part in text.split(':')]
        if len(parts) <= 3 and all(part >= 0 and math.isfinite(part) for part in parts):
            return sum(part * 60**power for power, part in enumerate(reversed(parts)))
    except ValueError:
        pass
    raise ValueError(f'{text!r} is no time: write 2026-11-21 12:03:04, or 1:02:03 within a video')


def describe_time(seconds: float) -> str:
    """A time for people: date and time of day, or h:mm:ss of a video; '' where it is NaN."""
    if math.isnan(seconds):
        return ''
    if seconds >= _SINCE_1970:
        return datetime.fromtimestamp(seconds).isoformat(' ', 'milliseconds')
    text = str(timedelta(milliseconds=round(1000 * seconds)))
    return text[:-3] if '.' in text else text
