"""What may be wrong with a dataset although its files can be read."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from mmps.datasets.annotations import UNKNOWN, Annotations, Scene, clip_box


@dataclass(frozen=True)
class Problem:
    """A line of the report.

    Attributes:
        text: what is wrong, and where.
        severe: figures or training would be wrong; else it is only unusual.
    """

    text: str
    severe: bool = True

    def __str__(self) -> str:
        return f'{"error" if self.severe else "warning"}: {self.text}'


def scene_problems(annotations: Annotations) -> Iterator[Problem]:
    """Boxes that repeat or leave their image, persons who are twice in an image."""
    for scene in annotations.scenes:
        boxes = Counter(person.box for person in scene.persons if not person.ignored)
        for box, number in boxes.items():
            if number > 1:
                yield Problem(f'{scene.file_name}: {number} boxes are the same, {_show(box)}')
        person_ids = Counter(person.person_id for person in scene.persons)
        for person_id, number in person_ids.items():
            if person_id != UNKNOWN and number > 1:
                yield Problem(f'{scene.file_name}: person {person_id} is there {number} times')
        yield from _box_problems(scene)


def identity_problems(annotations: Annotations, *, training: bool) -> Iterator[Problem]:
    """Identities that nothing can be learnt of or searched for, queries without a target.

    Args:
        annotations: a part of a dataset.
        training: whether it is for training; else it is a gallery.
    """
    scenes: defaultdict[int, set[str]] = defaultdict(set)
    for scene, person in annotations.labelled():
        scenes[person.person_id].add(scene.file_name)
    if not scenes:
        yield Problem('nobody has an identity (person_id >= 0)')
    for person_id in sorted(scenes):
        if len(scenes[person_id]) == 1:
            (name,) = scenes[person_id]
            yield Problem(f'person {person_id} is in one image only, {name}', severe=False)
    if training:
        return
    if not annotations.queries:
        yield Problem('there are no queries: only detection can be evaluated', severe=False)
    for number, query in enumerate(annotations.queries or ()):
        where = f'query {number} (person {query.person_id} in {query.file_name})'
        if not scenes[query.person_id] - {query.file_name}:
            yield Problem(f'{where}: the person is in no other image')
        if query.file_name not in scenes[query.person_id]:
            yield Problem(f'{where}: nobody there is annotated as that person', severe=False)


def split_problems(train: Annotations, test: Annotations) -> Iterator[Problem]:
    """Identities and images that are in both parts: what was learnt by heart would be tested."""
    for person_id in sorted(train.person_ids() & test.person_ids()):
        yield Problem(f'person {person_id} is in the training and in the test part')
    names = {scene.file_name for scene in train.scenes}
    for scene in test.scenes:
        if scene.file_name in names:
            yield Problem(f'{scene.file_name}: is in the training and in the test part')


def _box_problems(scene: Scene) -> Iterator[Problem]:
    if scene.size is None:
        return
    for person in scene.persons:
        inside = clip_box(person.box, scene.size)
        size = f'its image of {scene.size[0]}x{scene.size[1]} pixels'
        if inside is None:
            yield Problem(f'{scene.file_name}: box {_show(person.box)} lies outside of {size}')
        elif inside != person.box:
            yield Problem(
                f'{scene.file_name}: box {_show(person.box)} reaches out of {size}', severe=False
            )


def _show(box: tuple[float, ...]) -> str:
    return f'[{", ".join(f"{number:g}" for number in box)}]'
