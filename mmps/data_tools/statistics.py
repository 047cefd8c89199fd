"""How much of what a dataset holds."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from terminaltables import AsciiTable

from mmps.datasets.annotations import UNKNOWN, Annotations

Quantiles: TypeAlias = tuple[float, float, float, float, float]
"""Least, lower quartile, median, upper quartile, most."""


@dataclass(frozen=True)
class Statistics:
    """Of a part of a dataset.

    Attributes:
        images: number of images.
        boxes: number of persons; ignored regions do not count.
        ignored: number of ignored regions.
        labelled: share of the boxes that have an identity.
        identities: number of identities.
        boxes_per_image: quantiles over the images.
        boxes_per_identity: quantiles over the identities; None if there are none.
        box_height: quantiles over the boxes, pixels; None if there are none.
        cameras: number of cameras, not counting unknown ones.
        sequences: number of sequences, likewise.
        sizes: width and height of images -> how many have them, the most frequent first.
        queries: number of queries; None for a training part.
    """

    images: int
    boxes: int
    ignored: int
    labelled: float
    identities: int
    boxes_per_image: Quantiles | None
    boxes_per_identity: Quantiles | None
    box_height: Quantiles | None
    cameras: int
    sequences: int
    sizes: dict[tuple[int, int], int]
    queries: int | None


def boxes_per_identity(annotations: Annotations) -> list[int]:
    """Number of boxes of each identity, the largest first."""
    counts = Counter(person.person_id for _, person in annotations.labelled())
    return sorted(counts.values(), reverse=True)


def dataset_statistics(annotations: Annotations) -> Statistics:
    """Count what is there."""
    persons = [person for scene in annotations.scenes for person in scene.persons]
    boxes = [person for person in persons if not person.ignored]
    per_identity = boxes_per_identity(annotations)
    sizes = Counter(scene.size for scene in annotations.scenes if scene.size is not None)
    per_image = [sum(not p.ignored for p in scene.persons) for scene in annotations.scenes]
    return Statistics(
        images=len(annotations.scenes),
        boxes=len(boxes),
        ignored=len(persons) - len(boxes),
        labelled=sum(per_identity) / max(len(boxes), 1),
        identities=len(per_identity),
        boxes_per_image=_quantiles(per_image),
        boxes_per_identity=_quantiles(per_identity),
        box_height=_quantiles([person.box[3] for person in boxes]),
        cameras=len({scene.camera_id for scene in annotations.scenes} - {UNKNOWN}),
        sequences=len({scene.sequence_id for scene in annotations.scenes} - {UNKNOWN}),
        sizes=dict(sizes.most_common()),
        queries=None if annotations.queries is None else len(annotations.queries),
    )


def statistics_table(parts: Mapping[str, Statistics]) -> str:
    """A table with a column for each part."""
    rows: list[list[str]] = [['', *parts]]
    for title, cells in (
        ('images', [f'{part.images:,}' for part in parts.values()]),
        ('boxes', [f'{part.boxes:,}' for part in parts.values()]),
        ('ignored regions', [f'{part.ignored:,}' for part in parts.values()]),
        ('boxes with identity', [f'{100 * part.labelled:.1f}%' for part in parts.values()]),
        ('identities', [f'{part.identities:,}' for part in parts.values()]),
        ('queries', ['' if p.queries is None else f'{p.queries:,}' for p in parts.values()]),
        ('cameras', [str(part.cameras or 'unknown') for part in parts.values()]),
        ('sequences', [str(part.sequences or 'unknown') for part in parts.values()]),
        ('boxes per image *', [_show(part.boxes_per_image) for part in parts.values()]),
        ('boxes per identity *', [_show(part.boxes_per_identity) for part in parts.values()]),
        ('height of boxes *', [_show(part.box_height) for part in parts.values()]),
        ('sizes of images', [_show_sizes(part.sizes) for part in parts.values()]),
    ):
        rows.append([title, *cells])
    return f'{AsciiTable(rows).table}\n* least, lower quartile, median, upper quartile, most'


def _quantiles(values: list[int] | list[float]) -> Quantiles | None:
    if not values:
        return None
    low, lower, median, upper, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
    return low, lower, median, upper, high


def _show(quantiles: Quantiles | None) -> str:
    return '' if quantiles is None else ' '.join(f'{value:.4g}' for value in quantiles)


def _show_sizes(sizes: Mapping[tuple[int, int], int]) -> str:
    shown = [f'{width}x{height}: {count:,}' for (width, height), count in sizes.items()]
    more = len(shown) - 3
    return '\n'.join([*shown[:3], *([f'{more} more'] if more > 0 else [])]) or 'unknown'
