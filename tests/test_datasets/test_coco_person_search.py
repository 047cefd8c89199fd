import copy
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope

from mmps.datasets import CocoPersonSearchDataset
from mmps.datasets.annotations import Annotations, Person, Query, Scene, clip_box, draw_queries
from mmps.datasets.coco_checks import check_content

PERSON = {'id': 3, 'name': 'person'}
CONTENT = {
    'images': [
        {
            'id': 20,
            'file_name': 'b/1.jpg',
            'width': 64,
            'height': 48,
            'camera_id': 2,
            'sequence_id': 7,
        },
        {'id': 10, 'file_name': 'a.png', 'width': 64, 'height': 48, 'camera_id': 1},
        {'id': 30, 'file_name': 'b/2.jpg'},
    ],
    'annotations': [
        {'id': 1, 'image_id': 10, 'category_id': 3, 'bbox': [1, 2, 30, 40], 'person_id': 9},
        {'id': 2, 'image_id': 20, 'category_id': 3, 'bbox': [-3.5, 2, 10.25, 9], 'person_id': 9},
        {'id': 3, 'image_id': 20, 'category_id': 3, 'bbox': [5, 5, 8, 8], 'person_id': 4},
        {'id': 4, 'image_id': 20, 'category_id': 3, 'bbox': [6, 6, 8, 8], 'person_id': -1},
        {'id': 5, 'image_id': 20, 'category_id': 3, 'bbox': [7, 7, 8, 8]},
        {'id': 6, 'image_id': 20, 'category_id': 3, 'bbox': [0, 0, 60, 40], 'iscrowd': 1},
        {'id': 7, 'image_id': 20, 'category_id': 3, 'bbox': [1, 1, 2, 2], 'ignore': 1},
        {'id': 8, 'image_id': 20, 'category_id': 5, 'bbox': [2, 2, 2, 2], 'person_id': 77},
        {'id': 9, 'image_id': 30, 'category_id': 3, 'bbox': [2, 2, 900, 2], 'person_id': 4},
    ],
    'categories': [PERSON, {'id': 5, 'name': 'dog'}],
    'queries': [
        {'annotation_id': 3},
        {'image_id': 10, 'bbox': [1, 2, 31, 41], 'person_id': 9},
        {'image_id': 30, 'bbox': [2, 2, 9, 2], 'person_id': 6},
    ],
}


def write(root: Path, content: object) -> None:
    (root / 'all.json').write_text(json.dumps(content))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / 'b').mkdir()
    for image in CONTENT['images']:
        cv2.imwrite(str(tmp_path / image['file_name']), np.zeros((48, 64, 3), np.uint8))
    write(tmp_path, CONTENT)
    return tmp_path


def build(root: Path, split: str, **kwargs) -> CocoPersonSearchDataset:
    return CocoPersonSearchDataset(
        str(root), split, ann_file='all.json', serialize_data=False, **kwargs
    )


def load(root: Path, split: str, **kwargs) -> list[dict]:
    dataset = build(root, split, **kwargs)
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def changed(change: Callable[[dict], object]) -> dict:
    content = copy.deepcopy(CONTENT)
    change(content)
    return content


# --- items


def test_train_items(root):
    items = load(root, 'train')
    assert [item['img_name'] for item in items] == ['b/1.jpg', 'a.png', 'b/2.jpg']
    assert [item['img_id'] for item in items] == [0, 1, 2]
    assert [item['camera_id'] for item in items] == [2, 1, -1]
    assert [item['sequence_id'] for item in items] == [7, -1, -1]
    assert [item.get('width') for item in items] == [64, 64, None]
    assert items[0]['img_path'] == str(root / 'b' / '1.jpg')
    assert 'queries' not in items[0]
    # Neither clipped nor rounded; 77 is a dog, 7 is ignored, the crowd is neither.
    assert [
        (person['bbox'], person['pid'], person['ignore_flag'], person['bbox_label'])
        for person in items[0]['instances']
    ] == [
        ([-3.5, 2.0, 6.75, 11.0], 1, 0, 0),
        ([5.0, 5.0, 13.0, 13.0], 0, 0, 0),
        ([6.0, 6.0, 14.0, 14.0], -1, 0, 0),
        ([7.0, 7.0, 15.0, 15.0], -1, 0, 0),
        ([0.0, 0.0, 60.0, 40.0], -1, 1, 0),
    ]


def test_identities_are_contiguous_and_those_of_the_split(root):
    # 6 is among the queries only, which a training split does not read.
    assert build(root, 'train').metainfo['person_ids'] == [4, 9]
    assert build(root, 'train').num_persons == 2
    assert build(root, 'gallery').metainfo['person_ids'] == [4, 6, 9]
    assert build(root, 'query').metainfo['person_ids'] == [4, 6, 9]


def test_gallery_items_carry_their_queries(root):
    items = load(root, 'gallery', test_mode=True)
    assert [item['queries'] for item in items] == [
        [{'bbox': [5.0, 5.0, 13.0, 13.0], 'pid': 0, 'query_id': 0}],
        [{'bbox': [1.0, 2.0, 32.0, 43.0], 'pid': 2, 'query_id': 1}],
        [{'bbox': [2.0, 2.0, 11.0, 4.0], 'pid': 1, 'query_id': 2}],
    ]


def test_query_items(root):
    items = load(root, 'query', test_mode=True)
    assert [(item['query_id'], item['img_name']) for item in items] == [
        (0, 'b/1.jpg'),
        (1, 'a.png'),
        (2, 'b/2.jpg'),
    ]
    assert [person['pid'] for item in items for person in item['instances']] == [0, 2, 1]


def test_images_in_another_folder_and_pipeline(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp('annotations')
    write(folder, CONTENT)
    config = {
        'type': 'mmps.CocoPersonSearchDataset',
        'data_root': str(folder),
        'images': str(root),
        'split': 'gallery',
        'ann_file': 'all.json',
        'test_mode': True,
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'mmps.LoadPersonSearchAnnotations'},
            {'type': 'mmps.PackPersonSearchInputs'},
        ],
    }
    with DefaultScope.overwrite_default_scope('mmdet'):
        sample = DATASETS.build(config)[0]['data_samples']
    # The crowd is among the ignored, out of the way of losses and metrics.
    assert sample.gt_instances.pids.tolist() == [2, 0, -1, -1]
    assert sample.ignored_instances.bboxes.tensor.tolist() == [[0, 0, 60, 40]]
    assert sample.sequence_id == 7
    assert sample.query_instances.pids.tolist() == [0]


def test_filter(root):
    (root / 'b' / '2.jpg').unlink()
    cv2.imwrite(str(root / 'b' / '2.jpg'), np.zeros((30, 90, 3), np.uint8))
    filtered = load(root, 'train', filter_cfg={'min_size': 40})
    assert [item['img_id'] for item in filtered] == [0, 1]


def test_other_names_of_the_category(root):
    content = changed(lambda c: c['categories'][0].update(name='pedestrian'))
    write(root, content)
    with pytest.raises(ValueError, match=r"none is named person, only \['dog', 'pedestrian'\]"):
        load(root, 'train')
    items = load(root, 'train', metainfo={'classes': ('pedestrian',)})
    assert len(items[0]['instances']) == 5


# --- drawn queries


def scene(name: str, camera_id: int, *person_ids: int) -> Scene:
    persons = [Person((n, camera_id, 5, 5), person_id) for n, person_id in enumerate(person_ids)]
    return Scene(name, tuple(persons), camera_id=camera_id)


def test_queries_are_drawn_once_for_every_person_and_camera(root):
    write(root, changed(lambda c: c.pop('queries')))
    items = load(root, 'query', test_mode=True)
    # 4 in camera 2 and in an unknown one, 9 in cameras 1 and 2.
    found = [(i['instances'][0]['pid'], i['camera_id'], i['img_name']) for i in items]
    assert found == [(0, -1, 'b/2.jpg'), (0, 2, 'b/1.jpg'), (1, 1, 'a.png'), (1, 2, 'b/1.jpg')]


def test_no_queries(root):
    write(root, changed(lambda c: c.update(queries=[])))
    assert [item['queries'] for item in load(root, 'gallery')] == [[], [], []]
    with pytest.raises(ValueError, match=r'all\.json: nobody to look for: it lists no queries'):
        load(root, 'query')


def test_drawing_is_reproducible_and_local():
    scenes = [scene(f'{n}.jpg', n % 2, 1, 2) for n in range(20)]
    drawn = draw_queries(Annotations(scenes), seed=0)
    assert [(q.person_id, q.box[1]) for q in drawn] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert draw_queries(Annotations(scenes), seed=0) == drawn
    others = {tuple(draw_queries(Annotations(scenes), seed=seed)) for seed in range(8)}
    assert len(others) > 4
    # More cameras and persons change nothing of what was drawn before.
    more = [scene('x.jpg', 5, 1, 3, 0), *scenes, scene('y.jpg', 5, 3)]
    assert set(drawn) < set(draw_queries(Annotations(more), seed=0))


def test_persons_in_one_image_are_no_queries():
    scenes = [scene('a.jpg', 0, 1, 2), scene('b.jpg', 0, 2, -1)]
    assert [q.person_id for q in draw_queries(Annotations(scenes))] == [2]


def test_who_is_in_annotations():
    annotations = Annotations([scene('a.jpg', 0, 3, -1)], [Query('a.jpg', (0, 0, 1, 1), 5)])
    assert annotations.person_ids() == {3, 5}
    assert [person.person_id for _, person in annotations.labelled()] == [3]


@pytest.mark.parametrize(
    ('box', 'clipped'),
    [
        ((0.1, 0.2, 0.7, 5), (0.1, 0.2, 0.7, 5)),
        ((-2, -3, 10, 20), (0, 0, 8, 7)),
        ((4, 4, 30, 2), (4, 4, 6, 2)),
        ((10, 0, 5, 5), None),
        ((0, -5, 5, 5), None),
    ],
)
def test_clip_box(box, clipped):
    assert clip_box(box, (10, 7)) == clipped


# --- what is wrong with the file is said, with file and entry


def test_missing_file_and_images(root):
    with pytest.raises(FileNotFoundError, match=r'no\.json: there is no such annotation file'):
        CocoPersonSearchDataset(str(root), 'train', ann_file='no.json')
    (root / 'b' / '2.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 3 frames .*all\.json .*missing: b/2\.jpg'):
        load(root, 'train')
    assert len(load(root, 'train', check_frames=False)) == 3
    (root / 'b' / '2.jpg').write_bytes(b'')
    with pytest.raises(ValueError, match=r'1 of 3 frames are empty: b/2\.jpg'):
        load(root, 'train')


def test_file_cut_short_anywhere(root):
    path = root / 'all.json'
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r'all\.json: not JSON, or cut short \(line 1, col'):
            load(root, 'train')


@pytest.mark.parametrize(
    'content', [b'\xff\xfe\x00', b'\x80abc', b'[' * 100_000, b'{"a": ' + b'9' * 5000 + b'}']
)
def test_no_json(root, content):
    (root / 'all.json').write_bytes(content)
    with pytest.raises(ValueError, match=r'all\.json: not JSON'):
        load(root, 'train')


BAD = [
    (lambda c: c.pop('images'), r"images: missing, there are only \['annotations', 'categ"),
    (lambda c: c.update(images=[]), 'images: the list is empty'),
    (lambda c: c.update(annotations={}), r'annotations: must be a list, not \{\}'),
    (lambda c: c.update(queries=None), 'queries: must be a list, not null'),
    (lambda c: c['images'].append(5), r'images\[3\]: must be an object, not 5'),
    (lambda c: c['images'][1].pop('id'), r"images\[1\]: 'id' is missing"),
    (lambda c: c['images'][1].update(id='x'), r"images\[1\]: 'id' must be a whole number >= 0, no"),
    (lambda c: c['images'][1].update(id=True), r"images\[1\]: 'id' must be .*not True"),
    (lambda c: c['images'][1].update(id=20), r'images\[1\] \(id 20\): an entry .* the same id'),
    (lambda c: c['images'][1].pop('file_name'), r"images\[1\] .*'file_name' must be .*not null"),
    (
        lambda c: c['images'][1].update(file_name='b/1.jpg'),
        r"images\[1\] \(id 10\): an image before it has the same file_name 'b/1.jpg'",
    ),
    (lambda c: c['images'][0].pop('width'), r"images\[0\] \(id 20\): 'width' is missing"),
    (lambda c: c['images'][0].update(height=0), r"'height' must be a whole number >= 1, not 0"),
    (lambda c: c['images'][0].update(camera_id=-2), r"'camera_id' must be .* >= -1, not -2"),
    (lambda c: c['images'][0].update(sequence_id=1.5), r"'sequence_id' must be .*not 1\.5"),
    (lambda c: c['annotations'][2].update(id=2), r'annotations\[2\] \(id 2\): an entry before'),
    (
        lambda c: c['annotations'][2].update(image_id=99),
        r'annotations\[2\] \(id 3\): image_id 99 is that of no image',
    ),
    (lambda c: c['annotations'][2].pop('image_id'), r"\(id 3\): 'image_id' is missing"),
    (lambda c: c['annotations'][2].update(image_id=[20]), r'image_id \[20\] is that of no image'),
    (lambda c: c['annotations'][2].update(category_id=4), 'category_id 4 is that of no category'),
    (lambda c: c['annotations'][2].pop('bbox'), "'bbox' must be four numbers x, y, w, h, not null"),
    (lambda c: c['annotations'][2].update(bbox=[1, 2, 3]), r'four numbers.*not \[1, 2, 3\]'),
    (lambda c: c['annotations'][2].update(bbox=[1, 2, '3', 4]), "four numbers.*'3'"),
    (lambda c: c['annotations'][2].update(bbox=[1, 2, float('nan'), 4]), 'four numbers.*nan'),
    (lambda c: c['annotations'][2].update(bbox=[1, 2, float('inf'), 4]), 'four numbers.*inf'),
    (
        lambda c: c['annotations'][2].update(bbox=[1, 2, 0, 4]),
        r'annotations\[2\] \(id 3\): the bbox \[1, 2, 0, 4\] has no area',
    ),
    (lambda c: c['annotations'][2].update(bbox=[1, 2, 4, -4]), 'has no area'),
    (
        lambda c: c['annotations'][2].update(bbox=[64, 2, 4, 4]),
        r'the bbox \[64, 2, 4, 4\] lies outside of its image of 64x48 pixels',
    ),
    (lambda c: c['annotations'][2].update(person_id=-2), "'person_id' must be .* >= -1, not -2"),
    (lambda c: c['annotations'][2].update(person_id=None), "'person_id' must be .*not null"),
    (lambda c: c['annotations'][2].update(person_id='4'), "'person_id' must be .*not '4'"),
    (lambda c: c['annotations'][2].update(iscrowd='no'), "'iscrowd' must be 0 or 1, not 'no'"),
    (lambda c: c['annotations'][2].update(iscrowd=1), 'a crowd .* has no identity, this has 4'),
    (lambda c: c['categories'][0].pop('name'), r"categories\[0\] \(id 3\): 'name' must be a text"),
    (
        lambda c: c['queries'][0].update(annotation_id=44),
        r'queries\[0\]: annotation_id 44 is that of no annotation, or of one at fault',
    ),
    (lambda c: c['queries'][0].update(annotation_id=4), r'queries\[0\]: annotation 4 has no pers'),
    (
        lambda c: c['queries'][0].update(person_id=4),
        r"queries\[0\]: give 'annotation_id' or 'image_id', 'bbox', 'person_id', not both",
    ),
    (lambda c: c['queries'][1].update(image_id=11), r'queries\[1\]: image_id 11 is that of no im'),
    (lambda c: c['queries'][1].update(person_id=-1), r"queries\[1\]: 'person_id' must be .*>= 0"),
    (lambda c: c['queries'][1].pop('person_id'), r"queries\[1\]: 'person_id' is missing"),
    (lambda c: c['queries'][1].update(bbox=[1, 1, 0, 1]), r'queries\[1\]: the bbox .*has no area'),
]


@pytest.mark.parametrize(('change', 'message'), BAD)
def test_senseless_entry(root, change, message):
    write(root, changed(change))
    with pytest.raises(
        ValueError, match=rf'all\.json: \d+ of its entries make no sense: .*{message}'
    ):
        load(root, 'gallery')


@pytest.mark.parametrize('content', [[], 5, None, 'x', {}])
def test_no_object_with_lists(root, content):
    write(root, content)
    with pytest.raises(ValueError, match=r'all\.json: \d+ of its entries'):
        load(root, 'gallery')


def test_all_problems_are_found_and_the_rest_stays_usable():
    def change(content: dict) -> None:
        content['images'][1]['width'] = 'wide'
        content['annotations'][1].update(bbox=[1, 2, 0, 4], person_id='x')
        content['annotations'][2]['id'] = 1
        content['queries'][1]['bbox'] = None

    content, problems = check_content(changed(change))
    assert problems == [
        "images[1] (id 10): 'width' must be a whole number >= 1, not 'wide'",
        'annotations[1] (id 2): the bbox [1, 2, 0, 4] has no area',
        "annotations[1] (id 2): 'person_id' must be a whole number >= -1, not 'x'",
        'annotations[2] (id 1): an entry before it has the same id',
        'queries[0]: annotation_id 3 is that of no annotation, or of one at fault',
        'queries[1]: image_id 10 is that of no image',
        "queries[1]: 'bbox' must be four numbers x, y, w, h, not null",
    ]
    assert [image['id'] for image in content['images']] == [20, 30]
    # An annotation is not to blame for its image.
    assert [entry['id'] for entry in content['annotations']] == [1, 4, 5, 6, 7, 8, 9]
    assert len(content['queries']) == 1


def test_a_sound_file_has_no_problems():
    assert check_content(CONTENT) == (CONTENT, [])


def test_the_error_counts_what_it_does_not_name(root):
    write(root, changed(lambda c: [entry.pop('bbox') for entry in c['annotations']]))
    with pytest.raises(ValueError, match=r'10 of its .*\(id 3\).*; and 7 more .*check_dataset\.py'):
        load(root, 'train')


def test_the_documented_example_is_sound():
    page = Path(__file__).parents[2] / 'docs' / 'custom_data.md'
    if not page.is_file():
        pytest.skip('mmps is not run from its repository')
    example = page.read_text().split('```json')[1].split('```')[0]
    content, problems = check_content(json.loads(example))
    assert problems == []
    assert len(content['queries']) == 2
