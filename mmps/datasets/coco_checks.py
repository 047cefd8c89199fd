"""Everything that can be wrong with COCO JSON with identities; the format is in coco_files.py."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeGuard

from .annotations import UNKNOWN

Entry: TypeAlias = Mapping[str, Any]
"""An image, annotation, category or query as the file has it."""

_LISTS = ('categories', 'images', 'annotations', 'queries')
_QUERY_KEYS = ('image_id', 'bbox', 'person_id')


def check_content(
    content: Any, *, classes: Sequence[str] = ('person',)
) -> tuple[dict[str, list[Entry]], list[str]]:
    """Find everything in a file's content that the format does not allow.

    Args:
        content: of a whole file.
        classes: names of the categories that are persons.

    Returns:
        The lists of the content without the entries that are at fault, for
        :func:`parse_content`, and the problems, each with the entry that it is about
        (``annotations[3] (id 7): ...``).
    """
    if not isinstance(content, dict):
        problem = f'must hold an object with images and annotations, not {_show(content)}'
        return {key: [] for key in _LISTS}, [problem]
    problems: list[str] = []
    lists: dict[str, list[Any]] = {}
    for key in _LISTS:
        if key == 'queries' and key not in content:  # they are left to be drawn
            continue
        entries = content.get(key)
        lists[key] = entries if isinstance(entries, list) else []
        if key not in content:
            problems.append(f'{key}: missing, there are only {sorted(content)}')
        elif not isinstance(entries, list):
            problems.append(f'{key}: must be a list, not {_show(entries)}')
        elif not entries and key in ('categories', 'images'):
            problems.append(f'{key}: the list is empty')

    def keep(key: str, check: Callable[[Entry], Iterator[str]]) -> list[Entry]:
        lists[key] = list(_without_problems(key, lists[key], check, problems))
        return lists[key]

    # Annotations are not to blame for an image or category at fault.
    image_ids, category_ids = (
        {entry['id'] for entry in lists[key] if _has_id(entry)} for key in ('images', 'categories')
    )
    categories = keep('categories', _CategoryChecks())
    names = {category['name'] for category in categories}
    if names and names.isdisjoint(classes):
        problems.append(f'categories: none is named {" or ".join(classes)}, only {sorted(names)}')
    images = {image['id']: image for image in keep('images', _ImageChecks())}
    checks = _AnnotationChecks(images, image_ids, category_ids)
    annotations = {entry['id']: entry for entry in keep('annotations', checks)}
    if 'queries' in lists:
        keep('queries', lambda query: _query_problems(query, images, annotations))
    return lists, problems


def _without_problems(
    key: str,
    entries: Sequence[Any],
    check: Callable[[Entry], Iterator[str]],
    problems: list[str],
) -> Iterator[Entry]:
    """Those entries that ``check`` says nothing about; what it says is added to ``problems``."""
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            problems.append(f'{key}[{index}]: must be an object, not {_show(entry)}')
            continue
        name = f' (id {entry["id"]})' if _has_id(entry) else ''
        found = [f'{key}[{index}]{name}: {problem}' for problem in check(entry)]
        problems += found
        if not found:
            yield entry


class _IdChecks:
    """Remembers the ids of a list's entries, which must all differ."""

    def __init__(self) -> None:
        self.ids: set[int] = set()

    def __call__(self, entry: Entry) -> Iterator[str]:
        yield from _whole_number_problems(entry, 'id', required=True)
        if _has_id(entry):
            if entry['id'] in self.ids:
                yield 'an entry before it has the same id'
            self.ids.add(entry['id'])


class _CategoryChecks(_IdChecks):
    def __call__(self, entry: Entry) -> Iterator[str]:
        yield from super().__call__(entry)
        if not isinstance(entry.get('name'), str):
            yield f"'name' must be a text, not {_show(entry.get('name'))}"


class _ImageChecks(_IdChecks):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __call__(self, entry: Entry) -> Iterator[str]:
        yield from super().__call__(entry)
        name = entry.get('file_name')
        if not isinstance(name, str) or not name:
            yield f"'file_name' must be the path of an image, not {_show(name)}"
        elif name in self.names:
            yield f'an image before it has the same file_name {name!r}'
        else:
            self.names.add(name)
        for key in ('width', 'height') if {'width', 'height'} & entry.keys() else ():
            yield from _whole_number_problems(entry, key, least=1, required=True)
        for key in ('camera_id', 'sequence_id'):
            yield from _whole_number_problems(entry, key, least=UNKNOWN)


class _AnnotationChecks(_IdChecks):
    def __init__(
        self, images: Mapping[int, Entry], image_ids: Collection[int], category_ids: Collection[int]
    ) -> None:
        super().__init__()
        self.images = images
        self.image_ids = image_ids
        self.category_ids = category_ids

    def __call__(self, entry: Entry) -> Iterator[str]:
        yield from super().__call__(entry)
        yield from _reference_problems(entry, 'image_id', self.image_ids)
        yield from _reference_problems(entry, 'category_id', self.category_ids)
        yield from _bbox_problems(entry, self.images)
        yield from _whole_number_problems(entry, 'person_id', least=UNKNOWN)
        for key in ('iscrowd', 'ignore'):
            if entry.get(key, 0) not in (0, 1):
                yield f'{key!r} must be 0 or 1, not {_show(entry[key])}'
        if entry.get('iscrowd', 0) == 1 and entry.get('person_id', UNKNOWN) != UNKNOWN:
            yield f'a crowd (iscrowd 1) has no identity, this has {_show(entry["person_id"])}'


def _query_problems(
    query: Entry, images: Mapping[int, Entry], annotations: Mapping[int, Entry]
) -> Iterator[str]:
    if 'annotation_id' not in query:
        yield from _reference_problems(query, 'image_id', images)
        yield from _bbox_problems(query, images)
        yield from _whole_number_problems(query, 'person_id', required=True)
        return
    also = [key for key in _QUERY_KEYS if key in query]
    if also:
        yield f"give 'annotation_id' or {', '.join(map(repr, _QUERY_KEYS))}, not both"
    for problem in _reference_problems(query, 'annotation_id', annotations):
        yield f'{problem}, or of one at fault'
        return
    annotation = annotations[query['annotation_id']]
    if annotation['image_id'] not in images:
        yield f'the image of annotation {annotation["id"]} is at fault'
    elif annotation.get('person_id', UNKNOWN) == UNKNOWN or annotation.get('ignore', False):
        yield f'annotation {annotation["id"]} has no person_id or is ignored'


def _reference_problems(entry: Entry, key: str, known: Collection[int]) -> Iterator[str]:
    if key not in entry:
        yield f'{key!r} is missing'
    elif not _is_whole(entry[key]) or entry[key] not in known:
        yield f'{key} {_show(entry[key])} is that of no {key.removesuffix("_id")}'


def _bbox_problems(entry: Entry, images: Mapping[int, Entry]) -> Iterator[str]:
    bbox = entry.get('bbox')
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_coordinate, bbox)):
        yield f"'bbox' must be four numbers x, y, w, h, not {_show(bbox)}"
        return
    x, y, w, h = bbox
    if w <= 0 or h <= 0:
        yield f'the bbox {bbox} has no area'
        return
    image_id = entry.get('image_id')
    image = images.get(image_id, {}) if _is_whole(image_id) else {}
    if 'width' in image:
        width, height = image['width'], image['height']
        if x >= width or y >= height or x + w <= 0 or y + h <= 0:
            yield f'the bbox {bbox} lies outside of its image of {width}x{height} pixels'


def _whole_number_problems(
    entry: Entry, key: str, *, least: int = 0, required: bool = False
) -> Iterator[str]:
    if key not in entry:
        if required:
            yield f'{key!r} is missing'
    elif not _is_whole(entry[key]) or entry[key] < least:
        yield f'{key!r} must be a whole number >= {least}, not {_show(entry[key])}'


def _has_id(entry: Any) -> bool:
    return isinstance(entry, dict) and _is_whole(entry.get('id'))


def _is_whole(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number that fits 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_coordinate(value: Any) -> bool:
    # Neither NaN nor infinity compares as less.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _show(value: Any) -> str:
    text = 'null' if value is None else repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'
