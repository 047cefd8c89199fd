import random

import pytest

from mmps.data_tools import split_by_identity
from mmps.datasets.annotations import Annotations, Person, Query, Scene


def scene(name: str, *person_ids: int, camera_id: int = 0) -> Scene:
    persons = [Person((float(n), 0, 5, 5), person_id) for n, person_id in enumerate(person_ids)]
    return Scene(f'{name}.jpg', tuple(persons), camera_id=camera_id)


def names(scenes: list[Scene]) -> list[str]:
    return [scene.file_name.removesuffix('.jpg') for scene in scenes]


def test_groups_that_never_meet_are_not_torn_apart():
    scenes = [
        scene('a', 1, 2),
        scene('b', 10, 11),
        scene('c', 2, 3, -1),
        scene('d', 11, 12),
        scene('e', 12, 10),
        scene('f', 3),
    ]
    split = split_by_identity(Annotations(scenes), 3)
    assert split.dropped == []
    parts = {tuple(names(split.train.scenes)), tuple(names(split.test.scenes))}
    assert parts == {('a', 'c', 'f'), ('b', 'd', 'e')}
    # Asked for 2 or 4, slack leads to the same cut.
    for wanted in (2, 4):
        assert split_by_identity(Annotations(scenes), wanted, slack=1) == split
        assert len(split_by_identity(Annotations(scenes), wanted).dropped) > 0


def test_scenes_of_both_parts_are_in_neither():
    # A chain: whoever is cut from whom, exactly one scene shows both.
    scenes = [scene(f'{n}', n, n + 1) for n in range(9)]
    split = split_by_identity(Annotations(scenes), 4)
    assert len(split.train.person_ids()) == 4
    assert len(split.test.person_ids()) == 6
    (torn,) = split.dropped
    assert torn.person_ids() & split.train.person_ids()
    assert torn.person_ids() & split.test.person_ids()


@pytest.mark.parametrize('seed', range(30))
def test_nobody_and_no_scene_is_in_both(seed):
    rng = random.Random(seed)
    ids = range(5, 45, 2)
    scenes = [
        scene(
            f'{n}',
            *rng.sample(ids, rng.choice((0, 1, 1, 2, 2, 3))),
            *[-1] * rng.randrange(2),
            camera_id=rng.randrange(3),
        )
        for n in range(60)
    ]
    annotations = Annotations(scenes)
    num = len(annotations.person_ids())
    wanted, slack = rng.randrange(3, num - 3), rng.randrange(3)
    split = split_by_identity(annotations, wanted, slack=slack)
    train, test = split.train.person_ids(), split.test.person_ids()
    assert not train & test
    parts = [*split.train.scenes, *split.test.scenes, *split.dropped]
    assert sorted(map(id, parts)) == sorted(map(id, scenes))
    assert split.train.scenes == [s for s in scenes if s in split.train.scenes]
    assert split.test.scenes == [s for s in scenes if s in split.test.scenes]
    lost = annotations.person_ids() - train - test
    for torn in split.dropped:
        assert torn.person_ids() - test
        assert torn.person_ids() - train
    assert wanted - slack - len(lost) <= len(train) <= wanted + slack
    # More freedom never drops more.
    assert len(split.dropped) <= len(split_by_identity(annotations, wanted).dropped)


def test_company_is_kept_better_than_by_chance():
    # People pass in the order of their ids, three at a time; ids say nothing about it.
    rng = random.Random(0)
    ids = rng.sample(range(1000), 60)
    annotations = Annotations([scene(f'{n}', *ids[n : n + 3]) for n in range(58)])
    assert len(split_by_identity(annotations, 30).dropped) <= 4
    train = set(rng.sample(ids, 30))
    torn = sum(0 < len(s.person_ids() & train) < 3 for s in annotations.scenes)
    assert torn > 30


def test_scenes_without_identities_follow_their_neighbours():
    scenes = [
        scene('first', -1),
        scene('a', 1, 2),
        scene('after a'),
        scene('b', 7),
        scene('after b', -1),
    ]
    split = split_by_identity(Annotations(scenes), 2)
    parts = {tuple(names(split.train.scenes)), tuple(names(split.test.scenes))}
    assert parts == {('first', 'a', 'after a'), ('b', 'after b')}


def test_queries_of_the_test_part():
    scenes = [scene(f'{n}', n // 3, camera_id=n % 3) for n in range(12)]
    split = split_by_identity(Annotations(scenes), 2)
    assert split.train.queries is None
    drawn = split.test.queries
    assert {query.person_id for query in drawn} == split.test.person_ids()
    assert len(drawn) == 6
    given = [Query(s.file_name, s.persons[0].box, s.persons[0].person_id) for s in scenes[::3]]
    kept = split_by_identity(Annotations(scenes, given), 2).test.queries
    assert kept == [query for query in given if query.person_id in split.test.person_ids()]
    assert len(kept) == 2


@pytest.mark.parametrize('num_train', [0, 3, 4, -1])
def test_each_part_needs_identities(num_train):
    annotations = Annotations([scene('a', 1), scene('b', 2), scene('c', 3)])
    with pytest.raises(ValueError, match=rf'num_train is {num_train}: of 3 identities, 1 to 2'):
        split_by_identity(annotations, num_train)


def test_nothing_left_of_a_part():
    annotations = Annotations([scene('a', 1, 2), scene('b', 1, 2, 3)])
    with pytest.raises(ValueError, match=r'every scene with identities for the training part also'):
        split_by_identity(annotations, 1)
