"""Several pictures of the person that a user looks for: they are searched for together."""

from dataclasses import dataclass, field, replace

import numpy as np

from mmps.gallery import thumbnail

from .pictures import decode_thumbnail
from .query import Query

MAX_KEPT = 16


@dataclass(frozen=True)
class Picture:
    """A person in a picture.

    Attributes:
        name: where it is from, for people to read.
        bbox: (4,), in pixels of the whole picture.
        embedding: (1, D).
        scene: BGR array (H, W, 3): the whole picture, or a crop of the person.
        box: (4,), the person in pixels of ``scene``.
    """

    name: str
    bbox: np.ndarray
    embedding: np.ndarray = field(repr=False)
    scene: np.ndarray = field(repr=False)
    box: np.ndarray


Kept = tuple[Picture, ...]
"""Crops that one user keeps, the first one kept first."""


def asked_for(query: Query | None, kept: Kept) -> Kept:
    """All pictures to search for, each once: of whoever is chosen now, and those kept.

    Args:
        query: the picture that is shown; None for none.
        kept: what the user keeps.

    Returns:
        The chosen one first; none at all if nobody is chosen and nothing is kept.
    """
    if query is None or query.bbox is None or query.embedding is None:
        return kept
    chosen = Picture(query.name, query.bbox, query.embedding, query.scene, query.bbox)
    return (chosen, *(picture for picture in kept if not _same(picture, chosen)))


def keep(query: Query | None, kept: Kept) -> Kept:
    """Keep a crop of whoever is chosen, too; the scene, which may be large, is not kept.

    Args:
        query: the picture that is shown; None for none.
        kept: what the user keeps already; the same box twice counts once.

    Raises:
        ValueError: if nobody is chosen, or :data:`MAX_KEPT` others are kept.
    """
    if query is None or query.embedding is None:
        raise ValueError('Choose a person in a picture first, then keep it')
    chosen, *others = asked_for(query, kept)
    if len(others) >= MAX_KEPT:
        raise ValueError(f'At most {MAX_KEPT} pictures of a person can be kept')
    crop = decode_thumbnail(thumbnail(chosen.scene, chosen.bbox))[..., ::-1]
    height, width = crop.shape[:2]
    return (*others, replace(chosen, scene=crop, box=np.array([0, 0, width, height], np.float32)))


def _same(picture: Picture, other: Picture) -> bool:
    """Whether two pictures show the same pixels: the model then sees the same."""
    return np.array_equal(picture.bbox, other.bbox) and np.array_equal(
        picture.embedding, other.embedding
    )
