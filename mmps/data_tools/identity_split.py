"""Splitting annotations for training and for testing, so that nobody is in both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

from mmps.datasets.annotations import Annotations, Scene, draw_queries


@dataclass(frozen=True)
class IdentitySplit:
    """The two parts, and the scenes that had to be left out of both.

    Attributes:
        train: scenes that show persons of the training part; without queries.
        test: scenes that show persons of the test part, with queries.
        dropped: scenes that show persons of both parts.
    """

    train: Annotations
    test: Annotations
    dropped: list[Scene]


def split_by_identity(
    annotations: Annotations, num_train: int, *, slack: int = 0, query_seed: int = 0
) -> IdentitySplit:
    """Split so that no identity and no scene is in both parts.

    A scene that shows identities of both parts is dropped: left in one of them, it would show
    somebody of the other. Therefore those who are seen together go into the same part as far as
    possible: identities are put in an order in which company stands close (reverse
    Cuthill-McKee on the graph of who shares a scene with whom), and the order is cut where the
    fewest scenes show persons of both sides. Groups that never meet are never torn apart if
    ``slack`` allows for it. A scene without identities goes where the last scene before it went
    (the first ones: where the first other scene goes), as neighbouring frames show the same place.

    Args:
        annotations: of the whole dataset; scenes in the order of their sequences.
        num_train: wanted number of identities for training.
        slack: by how many identities that number may be missed, to drop fewer scenes.
        query_seed: the test part keeps those of the queries whose person and scene are in it; if
            there are none yet, they are drawn with this seed.

    Returns:
        The parts. Identities all of whose scenes are dropped are in neither.

    Raises:
        ValueError: one part would have no identity or all its scenes would be dropped.
    """
    person_ids = sorted(annotations.person_ids())
    if not 1 <= num_train < len(person_ids):
        raise ValueError(
            f'num_train is {num_train}: of {len(person_ids)} identities, 1 to '
            f'{len(person_ids) - 1} can be for training'
        )
    seen = [sorted(scene.person_ids()) for scene in annotations.scenes]
    order = _by_company(seen, person_ids)
    place = {person_id: number for number, person_id in enumerate(order)}
    places = [[place[person_id] for person_id in ids] for ids in seen if ids]
    spans = np.array([(min(of_scene), max(of_scene)) for of_scene in places]).reshape(-1, 2)
    cut = _best_cut(spans, num_train, slack=slack, num=len(order))
    in_train = set(order[:cut])

    parts: dict[bool, list[Scene]] = {True: [], False: []}
    dropped, first_ones = [], []
    side = None
    for scene, ids in zip(annotations.scenes, seen, strict=True):
        sides = {person_id in in_train for person_id in ids}
        if len(sides) == 2:
            dropped.append(scene)
            continue
        if sides:
            side = sides.pop()
        if side is None:
            first_ones.append(scene)
        else:
            parts[side] += [*first_ones, scene]
            first_ones = []
    for name, is_train in (('training', True), ('test', False)):
        if not any(scene.person_ids() for scene in parts[is_train]):
            raise ValueError(
                f'every scene with identities for the {name} part also shows some of the other '
                'part; allow for another number of identities (num_train, slack)'
            )
    test = Annotations(parts[False])
    if annotations.queries is None:
        test.queries = draw_queries(test, seed=query_seed)
    else:
        names = {scene.file_name for scene in test.scenes}
        test.queries = [
            query
            for query in annotations.queries
            if query.file_name in names and query.person_id not in in_train
        ]
    return IdentitySplit(Annotations(parts[True]), test, dropped)


def _by_company(seen: Sequence[Sequence[int]], person_ids: Sequence[int]) -> list[int]:
    """All identities, those who are seen together close to each other."""
    columns = {person_id: column for column, person_id in enumerate(person_ids)}
    rows = np.repeat(np.arange(len(seen)), [len(ids) for ids in seen])
    cols = np.array([columns[person_id] for ids in seen for person_id in ids], dtype=np.int64)
    shape = (len(seen), len(person_ids))
    incidence = csr_array((np.ones(len(rows), dtype=np.int64), (rows, cols)), shape=shape)
    company = csr_array(incidence.T @ incidence)
    # SciPy's graph routines take 32-bit indices only.
    company.indices, company.indptr = (
        part.astype(np.int32) for part in (company.indices, company.indptr)
    )
    order = reverse_cuthill_mckee(company, symmetric_mode=True)
    return [person_ids[column] for column in order.tolist()]


def _best_cut(spans: np.ndarray, wanted: int, *, slack: int, num: int) -> int:
    """Where to cut the order of ``num`` identities so that few scenes are on both sides.

    Args:
        spans: first and last place in the order of the identities of each scene, (S, 2) int64.
        wanted: number of identities before the cut.
        slack: how far from that the cut may be.
        num: number of identities.
    """
    # A scene is torn by the cuts first + 1 .. last.
    change = np.zeros(num + 1, dtype=np.int64)
    np.add.at(change, spans[:, 0] + 1, 1)
    np.add.at(change, np.minimum(spans[:, 1] + 1, num), -1)
    torn = np.cumsum(change)
    cuts = range(max(1, wanted - slack), min(num - 1, wanted + slack) + 1)
    return min(cuts, key=lambda cut: (torn[cut], abs(cut - wanted)))
