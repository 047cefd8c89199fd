"""Ranked results of a search, and a search among the persons of a few images."""

import dataclasses
import json
import math
from collections.abc import Sequence

import numpy as np

from mmps.as_json import as_json
from mmps.index import Match

from .persons import Persons


class Ranking(list[Match]):
    """Persons found, the most similar first: a list of :class:`mmps.index.Match`."""

    def as_dicts(self) -> list[dict]:
        """A dict of each result, named as in :class:`mmps.index.Match`."""
        return [dataclasses.asdict(match) for match in self]

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Arrays of K results by the same names; ``bbox`` is (K, 4), a lack of probability NaN."""
        columns = {
            field.name: [getattr(match, field.name) for match in self]
            for field in dataclasses.fields(Match)
        }
        columns['probability'] = [math.nan if p is None else p for p in columns['probability']]
        arrays = {name: np.array(values) for name, values in columns.items()}
        arrays['bbox'] = arrays['bbox'].reshape(-1, 4)
        return arrays

    def to_json(self) -> str:
        """JSON of :meth:`as_dicts`; numbers that are not known are null."""
        return json.dumps(as_json(self.as_dicts()), indent=2, allow_nan=False)


def rank_persons(
    embeddings: np.ndarray, names: Sequence[str], found: Sequence[Persons], *, topk: int
) -> Ranking:
    """Rank the persons of images by their similarity to one person.

    Args:
        embeddings: of the boxes of one person, (Q, D); similarities to each are averaged.
        names: of the images.
        found: the persons of each image.
        topk: how many results.

    Returns:
        Matches whose ``source`` is the name of the image and whose ``row_id`` counts all persons.
    """
    counts = [len(persons) for persons in found]
    if sum(counts) == 0:
        return Ranking()
    bboxes, scores, everybody = (
        np.concatenate([getattr(persons, name) for persons in found])
        for name in ('bboxes', 'scores', 'embeddings')
    )
    image = np.repeat(np.arange(len(found)), counts)
    similarities = (everybody @ embeddings.T).mean(axis=1)
    best = np.argsort(-similarities, kind='stable')[:topk]
    return Ranking(
        Match(
            row_id=int(row),
            similarity=float(similarities[row]),
            probability=None,
            source=names[image[row]],
            frame=0,
            time=math.nan,
            camera='',
            bbox=tuple(bboxes[row].tolist()),
            score=float(scores[row]),
            track=-1,
        )
        for row in best
    )
