"""What a search is confined to."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Filters:
    """Rows that a search may find; None stands for all.

    Attributes:
        cameras: names of cameras, '' for rows whose camera is unknown.
        sources: files of images and videos, as the gallery has them.
        time: first and last second, both included, as in the column ``time`` of the gallery; a row
            without a time is in no range.

    Raises:
        ValueError: an empty selection, a text in place of several, or a range that ends before it
            begins.
    """

    cameras: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    time: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ('cameras', 'sources'):
            values = getattr(self, name)
            if isinstance(values, str) or (values is not None and not values):
                raise ValueError(f'{name} must be None for all or at least one name: {values!r}')
        if self.time is not None:
            begin, end = self.time
            if math.isnan(begin) or math.isnan(end) or begin > end:
                raise ValueError(f'time must be a first and a last second: {begin} to {end}')
