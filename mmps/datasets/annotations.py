"""What a person search dataset says, whatever its files look like: scenes, persons, queries.

Readers of files make these, writers and checks take them. Boxes are x, y, w, h in pixels of the
scene, as COCO has them.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

Box: TypeAlias = tuple[float, float, float, float]
"""x, y, w, h in pixels."""

UNKNOWN = -1
"""A person without identity; a scene of an unknown camera or sequence."""


@dataclass(frozen=True)
class Person:
    """A box around a person.

    Attributes:
        box: where.
        person_id: identity, a whole number >= 0, or -1 for none.
        ignored: neither a person to find nor background, such as a crowd; has no identity.
    """

    box: Box
    person_id: int = UNKNOWN
    ignored: bool = False


@dataclass(frozen=True)
class Scene:
    """An image and the persons in it.

    Attributes:
        file_name: path of the image below the folder of the dataset; no other scene has it.
        persons: who is in it.
        size: width and height in pixels, None if not known.
        camera_id: a whole number >= 0, or -1 if not known.
        sequence_id: video that it is a frame of, likewise.
    """

    file_name: str
    persons: tuple[Person, ...] = ()
    size: tuple[int, int] | None = None
    camera_id: int = UNKNOWN
    sequence_id: int = UNKNOWN

    def person_ids(self) -> set[int]:
        """Identities in this scene."""
        return {person.person_id for person in self.persons} - {UNKNOWN}


@dataclass(frozen=True)
class Query:
    """A person to look for, given by a box in the scene ``file_name``."""

    file_name: str
    box: Box
    person_id: int


@dataclass
class Annotations:
    """A part of a dataset: that for training, or the gallery with its queries.

    Attributes:
        scenes: in the order of the file.
        queries: whom to look for; None where that is still to be drawn.
    """

    scenes: list[Scene] = field(default_factory=list)
    queries: list[Query] | None = None

    def person_ids(self) -> set[int]:
        """Identities in the scenes and among the queries."""
        found = {query.person_id for query in self.queries or ()}
        return found.union(*(scene.person_ids() for scene in self.scenes))

    def labelled(self) -> Iterator[tuple[Scene, Person]]:
        """Every person with an identity, and the scene."""
        for scene in self.scenes:
            for person in scene.persons:
                if person.person_id != UNKNOWN:
                    yield scene, person


def draw_queries(annotations: Annotations, *, seed: int = 0) -> list[Query]:
    """One query for every person and camera, as PRW has them.

    Persons seen in a single scene are passed over: nobody could find them. Scenes of unknown
    cameras count as one camera. A choice depends on the seed, the person, the camera and the boxes
    of that person in that camera alone: data added elsewhere leave it as it is.

    Args:
        annotations: the gallery.
        seed: another seed draws other boxes of the same persons and cameras.

    Returns:
        By identity, then camera.
    """
    seen: defaultdict[int, defaultdict[int, list[Query]]] = defaultdict(lambda: defaultdict(list))
    scenes: defaultdict[int, set[str]] = defaultdict(set)
    for scene, person in annotations.labelled():
        query = Query(scene.file_name, person.box, person.person_id)
        seen[person.person_id][scene.camera_id].append(query)
        scenes[person.person_id].add(scene.file_name)
    queries = []
    for person_id in sorted(seen):
        if len(scenes[person_id]) < 2:
            continue
        for camera_id in sorted(seen[person_id]):
            choices = seen[person_id][camera_id]
            # Cameras are shifted by one: seeds must not be negative, unknown cameras are.
            rng = np.random.default_rng([seed, person_id, camera_id + 1])
            queries.append(choices[int(rng.integers(len(choices)))])
    return queries


def clip_box(box: Box, size: tuple[int, int]) -> Box | None:
    """The part of a box within an image of this width and height, None if there is none."""
    x, y, w, h = box
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + w, size[0]), min(y + h, size[1])
    if right <= left or bottom <= top:
        return None
    if (left, top, right, bottom) == (x, y, x + w, y + h):
        return box  # not recomputed: x + w - x may differ from w by a rounding error
    return left, top, right - left, bottom - top
