import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cuhk_sysu_folder import (
    IMAGES,
    OCCLUSION,
    POOL,
    QUERIES,
    SUBSET,
    TRAIN,
    TRAIN_TEST,
    images_mat,
    location,
    pool_mat,
    scene,
    search_mat,
    structs,
    train_mat,
)
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner
from scipy.io import savemat

from mmps.datasets import CUHKSYSUDataset, cuhk_sysu_search
from mmps.datasets.cuhk_sysu_search import load_search_file, read_search_file

CONFIG = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets' / 'cuhk-sysu.py'
IMAGES_MAT = Path('annotation', 'Images.mat')
POOL_MAT = Path('annotation', 'pool.mat')
TRAIN_MAT = TRAIN_TEST / 'Train.mat'
G50_MAT = TRAIN_TEST / 'TestG50.mat'
FRAMES = Path('Image', 'SSM')


def load(root: Path, split: str, **kwargs) -> CUHKSYSUDataset:
    return CUHKSYSUDataset(str(root), split, serialize_data=False, **kwargs)


def items_of(root: Path, split: str, **kwargs) -> list[dict]:
    dataset = load(root, split, **kwargs)
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def boxes(item: dict) -> list:
    return [instance['bbox'] for instance in item['instances']]


def pids(item: dict) -> list:
    return [instance['pid'] for instance in item['instances']]


@pytest.fixture(autouse=True)
def warnings_logged(monkeypatch: pytest.MonkeyPatch) -> list:
    logged = []

    def collect(message: str, logger: str, level: int) -> None:
        logged.append((level, message))

    monkeypatch.setattr('mmps.datasets.cuhk_sysu.print_log', collect)
    return logged


def test_train_items(cuhk_sysu_root, warnings_logged):
    items = items_of(cuhk_sysu_root, 'train')
    # All images but those of the pool, sorted as text.
    assert [item['img_name'] for item in items] == ['s1.jpg', 's10.jpg', 's2.jpg', 's4.jpg']
    assert [item['img_id'] for item in items] == [0, 1, 2, 3]
    assert {(item['camera_id'], item['sequence_id']) for item in items} == {(-1, -1)}
    assert items[1]['img_path'] == str(cuhk_sysu_root / 'Image' / 'SSM' / 's10.jpg')
    assert 'queries' not in items[0]
    assert [boxes(item) for item in items] == [
        [[1, 2, 31, 42], [5, 5, 15, 17]],
        # Not clipped; of equal boxes the first is the person's.
        [[2, 2, 11, 11], [2, 2, 11, 11], [-3, 1, 7, 12]],
        [[10, 10, 30, 40], [3, 4, 11, 13]],
        [[4, 4, 20, 34]],
    ]
    assert [pids(item) for item in items] == [[-1, 0], [0, -1, -1], [-1, 1], [1]]
    assert items[3]['instances'] == [
        {'bbox': [4.0, 4.0, 20.0, 34.0], 'bbox_label': 0, 'ignore_flag': 0, 'pid': 1}
    ]
    ((level, message),) = warnings_logged
    assert level == logging.WARNING
    assert re.search(
        r'Images.mat: 1 boxes without area are dropped: '
        r's2.jpg person 2 \(x, y, w, h = \[7, 7, 0, 9\]\)$',
        message,
    )


def test_gallery_items_carry_their_queries(cuhk_sysu_root, warnings_logged):
    items = items_of(cuhk_sysu_root, 'gallery', test_mode=True)
    assert [item['img_name'] for item in items] == ['s5.jpg', 's3.jpg', 's7.jpg', 's6.jpg']
    assert [item['img_id'] for item in items] == [0, 1, 2, 3]
    assert [boxes(item) for item in items] == [
        [[6, 6, 18, 30], [30, 6, 42, 30]],
        [[0, 0, 10, 20], [20, 5, 30, 25]],
        [[1, 1, 13, 25]],
        [[8, 8, 20, 32]],
    ]
    # A pid is the place of the person's query.
    assert [pids(item) for item in items] == [[0, -1], [1, 0], [0], [1]]
    assert [item['queries'] for item in items] == [
        [{'bbox': [6.0, 6.0, 18.0, 30.0], 'pid': 0, 'query_id': 0}],
        [{'bbox': [0.0, 0.0, 10.0, 20.0], 'pid': 1, 'query_id': 1}],
        [],
        [],
    ]
    assert warnings_logged == []


def test_query_items(cuhk_sysu_root):
    items = items_of(cuhk_sysu_root, 'query', test_mode=True)
    assert [item['query_id'] for item in items] == [0, 1]
    assert [item['img_name'] for item in items] == ['s5.jpg', 's3.jpg']
    assert [item['img_id'] for item in items] == [0, 1]
    assert [boxes(item) for item in items] == [[[6, 6, 18, 30]], [[0, 0, 10, 20]]]
    assert [pids(item) for item in items] == [[0], [1]]


def test_identities(cuhk_sysu_root):
    train = load(cuhk_sysu_root, 'train', lazy_init=True)
    assert train.num_persons == 2
    assert train.metainfo['person_ids'] == ['p8', 'p3']
    for split in ('gallery', 'query'):
        dataset = load(cuhk_sysu_root, split)
        assert dataset.metainfo['person_ids'] == ['p20', 'p11']
        assert dataset.num_persons == 2
        assert dataset.metainfo['classes'] == ('person',)


def test_queries_of_a_subset(cuhk_sysu_root):
    items = items_of(cuhk_sysu_root, 'gallery', subset='Occlusion')
    assert [pids(item) for item in items] == [[-1, -1], [0, -1], [-1], [0]]
    assert items[1]['queries'] == [{'bbox': [0.0, 0.0, 10.0, 20.0], 'pid': 0, 'query_id': 0}]
    (query,) = items_of(cuhk_sysu_root, 'query', subset='Resolution')
    assert (query['img_name'], boxes(query)) == ('s7.jpg', [[1, 1, 13, 25]])
    with pytest.raises(
        ValueError, match=r"subset must be one of Occlusion, Resolution .* not 'Low'"
    ):
        load(cuhk_sysu_root, 'query', subset='Low')
    with pytest.raises(ValueError, match="subset='Occlusion' is for the splits 'gallery'"):
        load(cuhk_sysu_root, 'train', subset='Occlusion')


def test_the_later_of_two_queries_has_the_box(cuhk_sysu_root):
    queries = [QUERIES[0], ('p11', 's6.jpg', [8, 8, 12, 24], [('s7.jpg', [1, 1, 12, 24])])]
    savemat(cuhk_sysu_root / G50_MAT, search_mat('TestG50', queries))
    assert [pids(item) for item in items_of(cuhk_sysu_root, 'gallery')] == [
        [0, -1],
        [-1, 0],
        [1],
        [1],
    ]


def test_fractions_are_cut_off(cuhk_sysu_root):
    images = {**IMAGES, 's4.jpg': [[4.9, 4.2, 16.7, 30.9]], 's1.jpg': [[1, 1, 5, 0.5]]}
    savemat(cuhk_sysu_root / IMAGES_MAT, images_mat(images))
    items = items_of(cuhk_sysu_root, 'train')
    assert boxes(items[3]) == [[4, 4, 20, 34]]
    assert pids(items[3]) == [1]
    assert boxes(items[0]) == []


def test_persons_that_are_not_annotated_are_counted(cuhk_sysu_root, warnings_logged):
    savemat(
        cuhk_sysu_root / TRAIN_MAT,
        # Of no area, nowhere, and on an image of the test set.
        train_mat(
            [
                *TRAIN,
                ('p1', [('s2.jpg', [7, 7, 0, 9]), ('s1.jpg', [0, 0, 9, 9])]),
                ('p2', [('s6.jpg', [8, 8, 12, 24])]),
            ]
        ),
    )
    dataset = load(cuhk_sysu_root, 'train')
    assert dataset.num_persons == 4
    assert max(pid for item in dataset.data_list for pid in pids(item)) == 1
    (_, (level, message)) = warnings_logged
    assert level == logging.WARNING
    assert re.search(
        r"Train.mat: appearances in 'Train': 3 are not among the persons of the split in "
        r'annotation/Images.mat: s2.jpg \(x, y, w, h = \[7, 7, 0, 9\]\); s1.jpg .*; s6.jpg ',
        message,
    )


def test_image_without_persons(cuhk_sysu_root):
    content = images_mat({**IMAGES, 's4.jpg': []})
    savemat(cuhk_sysu_root / IMAGES_MAT, content)
    assert boxes(items_of(cuhk_sysu_root, 'train')[3]) == []
    # As MATLAB writes it where nothing was ever put into the struct.
    content['Img']['box'][0, list(IMAGES).index('s4.jpg')] = np.zeros((0, 0))
    savemat(cuhk_sysu_root / IMAGES_MAT, content)
    assert boxes(items_of(cuhk_sysu_root, 'train')[3]) == []
    filtered = items_of(cuhk_sysu_root, 'train', filter_cfg={'filter_empty_gt': True})
    assert [item['img_name'] for item in filtered] == ['s1.jpg', 's10.jpg', 's2.jpg']


def test_train_as_a_struct_array(cuhk_sysu_root):
    content = structs(
        idname=[name for name, _ in TRAIN],
        nAppear=[2, 2],
        scene=[scene(appearances) for _, appearances in TRAIN],
    )
    before = items_of(cuhk_sysu_root, 'train')
    savemat(cuhk_sysu_root / TRAIN_MAT, {'Train': content})
    assert items_of(cuhk_sysu_root, 'train') == before


def test_builds_from_the_root_registry(cuhk_sysu_root):
    config = {'type': 'mmps.CUHKSYSUDataset', 'data_root': str(cuhk_sysu_root), 'split': 'train'}
    assert len(DATASETS.build(config)) == 4


def test_config_gives_batches(cuhk_sysu_root):
    config = Config.fromfile(CONFIG)
    with DefaultScope.overwrite_default_scope('mmdet'):
        for loader in (config.train_dataloader, config.test_dataloader):
            loader.dataset.data_root = str(cuhk_sysu_root)
            loader.num_workers = 0
            loader.persistent_workers = False
        config.train_dataloader.batch_size = 4
        (batch,) = list(Runner.build_dataloader(config.train_dataloader, seed=0))
        samples = {sample.img_name: sample for sample in batch['data_samples']}
        assert samples['s10.jpg'].gt_instances.pids.tolist() == [0, -1, -1]
        assert samples['s10.jpg'].img_shape == (900, 1200)
        first = next(iter(Runner.build_dataloader(config.test_dataloader)))['data_samples'][0]
    assert first.img_name == 's5.jpg'
    assert first.gt_instances.bboxes.tensor.tolist() == [[6, 6, 18, 30], [30, 6, 42, 30]]
    assert first.query_instances.bboxes.tolist() == [[6, 6, 18, 30]]
    assert first.query_instances.query_ids.tolist() == [0]


# --- what is wrong with the data is said, with file and entry


def test_absent_data_root(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load(tmp_path / 'nowhere', 'train')
    message = str(caught.value)
    assert 'nowhere' in message
    assert 'http://www.ee.cuhk.edu.hk/~xgwang/PS/dataset.html' in message
    for part in ('Image/SSM/s1.jpg', 'Images.mat', 'pool.mat', 'Train.mat', 'TestG50.mat'):
        assert part in message


@pytest.mark.parametrize(
    ('split', 'kwargs', 'file'),
    [
        ('train', {}, IMAGES_MAT),
        ('gallery', {}, POOL_MAT),
        ('train', {}, TRAIN_MAT),
        ('query', {}, G50_MAT),
        ('query', {'subset': 'Resolution'}, SUBSET / 'Resolution.mat'),
    ],
)
def test_missing_file_of_the_layout(cuhk_sysu_root, split, kwargs, file):
    (cuhk_sysu_root / file).unlink()
    with pytest.raises(FileNotFoundError, match=f'SYSU.* has no {file}. CUHK-SYSU is given out'):
        load(cuhk_sysu_root, split, **kwargs)


def test_splits_need_their_own_files_only(cuhk_sysu_root):
    (cuhk_sysu_root / TRAIN_MAT).unlink()
    (cuhk_sysu_root / SUBSET / 'Occlusion.mat').unlink()
    assert len(load(cuhk_sysu_root, 'gallery')) == 4


def test_missing_folder_of_images(cuhk_sysu_root):
    (cuhk_sysu_root / FRAMES).rename(cuhk_sysu_root / 'elsewhere')
    with pytest.raises(FileNotFoundError, match=r'has no Image/SSM. .*check_frames=False'):
        load(cuhk_sysu_root, 'train')
    assert len(load(cuhk_sysu_root, 'train', check_frames=False)) == 4


@pytest.mark.parametrize(('split', 'name'), [('train', 's10.jpg'), ('gallery', 's7.jpg')])
def test_missing_and_empty_images_are_named_and_counted(cuhk_sysu_root, split, name):
    path = cuhk_sysu_root / FRAMES / name
    path.write_bytes(b'')
    with pytest.raises(ValueError, match=f'SSM: 1 of 4 frames are empty: {name}'):
        load(cuhk_sysu_root, split)
    path.unlink()
    listing = 'Images.mat' if split == 'train' else 'pool.mat'
    with pytest.raises(FileNotFoundError, match=f'SSM: 1 of 4 .*{listing} .* missing: {name}'):
        load(cuhk_sysu_root, split)


@pytest.mark.parametrize('compressed', [False, True])
@pytest.mark.parametrize(
    ('file', 'split', 'content'),
    [
        (IMAGES_MAT, 'train', images_mat(IMAGES)),
        (POOL_MAT, 'train', pool_mat(POOL)),
        (TRAIN_MAT, 'train', train_mat(TRAIN)),
        (G50_MAT, 'gallery', search_mat('TestG50', QUERIES)),
    ],
)
def test_file_truncated_anywhere(cuhk_sysu_root, file, split, content, compressed):
    path = cuhk_sysu_root / file
    savemat(path, content, do_compression=compressed)
    whole = path.read_bytes()
    load(cuhk_sysu_root, split)
    for length in range(0, len(whole), 64):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=f'{file}: '):
            load(cuhk_sysu_root, split)


def with_box(box: object) -> dict[str, np.ndarray]:
    content = images_mat(IMAGES)
    content['Img']['box'][0, 1]['idlocate'][0, 2] = box
    return content


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'other': [1]}, r"no variable 'Img' in it, only \['other'\]"),
        ({'Img': np.ones((1, 3))}, "'Img': wanted is a struct with imname, box, not an array of"),
        ({'Img': structs(name=['s1.jpg'])}, r"'Img': wanted .* box, not \('name',\)"),
        ({'Img': np.zeros((0, 0))}, "'Img' lists no images"),
        (
            {'Img': structs(imname=['s1.jpg', 7], box=[np.zeros((0, 0))] * 2)},
            r"entry 2 of 'Img': imname is \[\[7\]\], not a name",
        ),
        (
            {'Img': structs(imname=['s1.jpg', 's1.jpg'], box=[np.zeros((0, 0))] * 2)},
            "entry 2 of 'Img': the image s1.jpg occurred before",
        ),
        (
            {'Img': structs(imname=['s1.jpg'], box=[np.ones((1, 4))])},
            r"entry 1 of 'Img' \(s1.jpg\), person: wanted is a struct with idlocate, not an array",
        ),
        (with_box(np.ones((1, 3))), r"entry 2 of 'Img' \(s2.jpg\), person 3: idlocate is \[1.0, "),
        (with_box(np.array([[1, 2, np.nan, 4]])), r'person 3: .*nan, 4.0\]; wanted are four'),
        (with_box(np.array([[1, 2, 3, np.inf]])), 'person 3: .*inf'),
        (with_box(np.array([[1, 2, 3, 3e9]])), 'person 3: .*3000000000.0'),
        (with_box('4321'), r"person 3: idlocate is \['4321'\]"),
        (with_box(np.zeros((1, 0))), r'person 3: idlocate is \[\]; wanted are four numbers'),
    ],
)
def test_senseless_images_mat(cuhk_sysu_root, content, message):
    savemat(cuhk_sysu_root / IMAGES_MAT, content)
    with pytest.raises(ValueError, match=f'Images.mat: .*{message}'):
        load(cuhk_sysu_root, 'gallery')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'other': [1]}, "no variable 'pool'"),
        (pool_mat(['s5.jpg', '']), "'pool', entry 2: it is .*, not a name"),
        (pool_mat(['s5.jpg', 's3.jpg', 's5.jpg']), "'pool' lists the image s5.jpg twice"),
        ({'pool': np.zeros((0, 1))}, "'pool' lists no images"),
        (pool_mat(['s5.jpg', 's50.jpg']), 'lists 1 images that are not in .*Images.mat: s50.jpg'),
    ],
)
@pytest.mark.parametrize('split', ['train', 'query'])
def test_senseless_pool_mat(cuhk_sysu_root, split, content, message):
    savemat(cuhk_sysu_root / POOL_MAT, content)
    with pytest.raises(ValueError, match=f'pool.mat: .*{message}'):
        load(cuhk_sysu_root, split)


def train_cell(cell: object) -> dict[str, np.ndarray]:
    content = train_mat(TRAIN)
    content['Train'][1, 0] = cell
    return content


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'other': [1]}, "no variable 'Train'"),
        ({'Train': np.zeros((0, 1))}, "'Train' lists no identities"),
        (train_cell(np.ones((1, 1))), "entry 2 of 'Train': wanted is a struct with idname, scene"),
        (
            train_cell(structs(idname=['p1', 'p2'], scene=[scene([])] * 2)),
            "entry 2 of 'Train': wanted is one struct with idname, scene, not 2",
        ),
        (
            train_cell(structs(idname=[5], scene=[scene([])])),
            r"entry 2 of 'Train': idname is \[\[5\]\], not a name",
        ),
        (
            train_mat([TRAIN[0], ('p3', [('s2.jpg', [3, 4, 8, 9]), ('s4.jpg', None)])]),
            r"entry 2 of 'Train', scene 2: idlocate is \[\]; wanted are four numbers",
        ),
        (
            train_mat([TRAIN[0], ('p3', [('s40.jpg', [3, 4, 8, 9])])]),
            r"entry 2 of 'Train' \(p3\) appears on s40.jpg, which is not in .*Images.mat",
        ),
    ],
)
def test_senseless_train_mat(cuhk_sysu_root, content, message):
    savemat(cuhk_sysu_root / TRAIN_MAT, content)
    with pytest.raises(ValueError, match=f'Train.mat: .*{message}'):
        load(cuhk_sysu_root, 'train')


def second_query(
    name: str = 'p11',
    image: str = 's3.jpg',
    box: object = (0, 0, 10, 20),
    gallery: tuple = (('s6.jpg', [8, 8, 12, 24]),),
) -> dict[str, np.ndarray]:
    return search_mat('TestG50', [QUERIES[0], (name, image, box, gallery)])


def without_field() -> dict[str, np.ndarray]:
    content = second_query()
    content['TestG50']['Query'][0, 1] = structs(
        imname=['s3.jpg'], idlocate=[location([1, 1, 2, 2])]
    )
    return content


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'other': [1]}, "no variable 'TestG50'"),
        (search_mat('TestG50', QUERIES)['TestG50'], "no variable 'TestG50' in it, only"),
        ({'TestG50': structs(Query=[1])}, r"'TestG50': wanted is a struct with Query, Gallery, "),
        ({'TestG50': np.zeros((0, 0))}, "'TestG50' lists no queries"),
        (without_field(), r"query 2 of 'TestG50': Query: wanted is a struct with imname, .*idname"),
        (second_query(image=''), "query 2 of 'TestG50': imname is .*, not a name"),
        (second_query(box=None), r"query 2 of 'TestG50' \(s3.jpg\): idlocate is \[\]; wanted"),
        (second_query(box=(1, 2, 0, 4)), r'query 2 .*\(s3.jpg\): the box has no area .*\[1, 2, 0'),
        (second_query(gallery=()), "query 2 of 'TestG50': its gallery is empty"),
        (second_query(gallery=(('s6.jpg', None), ('', None))), 'gallery entry 2: imname is'),
        (
            second_query(gallery=(('s6.jpg', [1, 2, 3]),)),
            r"query 2 of 'TestG50', gallery entry 1 \(s6.jpg\): idlocate is \[1, 2, 3\]",
        ),
        (
            second_query(gallery=(('s7.jpg', None), ('s6.jpg', [1, 2, 3, 0]))),
            r'gallery entry 2 \(s6.jpg\): the box has no area',
        ),
        (
            second_query(image='s1.jpg'),
            "query 2 of 'TestG50' is on s1.jpg, which .*pool.mat does not list",
        ),
        (
            second_query(gallery=(('s6.jpg', None), ('s99.jpg', None), ('s4.jpg', None))),
            "galleries of 'TestG50' have 2 images that .*pool.mat does not list: s99.jpg; s4.jpg",
        ),
    ],
)
@pytest.mark.parametrize('split', ['gallery', 'query'])
def test_senseless_test_file(cuhk_sysu_root, split, content, message):
    if isinstance(content, np.ndarray):
        content = {'TestG100': content}
    savemat(cuhk_sysu_root / G50_MAT, content)
    with pytest.raises(ValueError, match=f'TestG50.mat: .*{message}'):
        load(cuhk_sysu_root, split)


# --- the test file as arrays, and its cache


def test_arrays_of_a_test_file(cuhk_sysu_root):
    tests = read_search_file(cuhk_sysu_root / G50_MAT, 'TestG50')
    assert tests.images.tolist() == ['s5.jpg', 's7.jpg', 's3.jpg', 's6.jpg']
    assert tests.query_names.tolist() == ['p20', 'p11']
    assert tests.query_image.tolist() == [0, 2]
    assert tests.query_xywh.tolist() == [[6, 6, 12, 24], [0, 0, 10, 20]]
    assert tests.gallery_indptr.tolist() == [0, 3, 5]
    assert tests.gallery_image.tolist() == [1, 2, 3, 3, 0]
    assert tests.target_indptr.tolist() == [0, 2, 3]
    assert tests.target_image.tolist() == [1, 2, 3]
    assert tests.target_xywh.tolist() == [[1, 1, 12, 24], [20, 5, 10, 20], [8, 8, 12, 24]]
    assert tests.num_to_find.tolist() == [2, 1]


def test_images_that_a_gallery_lists_again(cuhk_sysu_root):
    gallery = [
        ('s6.jpg', [8, 8, 12, 24]),
        ('s7.jpg', [1, 1, 12, 24]),
        ('s6.jpg', [8, 8, 12, 24]),
        ('s7.jpg', [2, 2, 12, 24]),
        ('s5.jpg', None),
        ('s5.jpg', None),
    ]
    path = cuhk_sysu_root / G50_MAT
    savemat(path, search_mat('TestG50', [('p1', 's3.jpg', [0, 0, 10, 20], gallery), QUERIES[0]]))
    tests = read_search_file(path, 'TestG50')
    assert tests.images[tests.gallery_image[:3]].tolist() == ['s6.jpg', 's7.jpg', 's5.jpg']
    assert tests.gallery_indptr.tolist() == [0, 3, 6]
    assert tests.target_indptr.tolist() == [0, 3, 5]
    assert tests.target_image[:3].tolist() == [1, 2, 2]
    assert tests.target_xywh[:3, 0].tolist() == [8, 1, 2]
    assert tests.num_to_find.tolist() == [4, 2]


@pytest.fixture
def forbid_parsing(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def forbid() -> None:
        def parse(path: Path, key: str) -> None:
            raise AssertionError(f'{path} was parsed again')

        monkeypatch.setattr(cuhk_sysu_search, 'read_search_file', parse)

    return forbid


def test_cache_gives_the_same_arrays(cuhk_sysu_root, forbid_parsing):
    path = cuhk_sysu_root / G50_MAT
    parsed = load_search_file(path, 'TestG50')
    forbid_parsing()
    again = load_search_file(path, 'TestG50')
    for name, value in vars(parsed).items():
        np.testing.assert_array_equal(value, getattr(again, name))
        assert value.dtype == getattr(again, name).dtype


def test_changed_test_file_is_parsed_again(cuhk_sysu_root):
    path = cuhk_sysu_root / G50_MAT
    assert len(load_search_file(path, 'TestG50').query_image) == 2
    savemat(path, search_mat('TestG50', OCCLUSION))
    assert len(load_search_file(path, 'TestG50').query_image) == 1


def test_cache_of_another_version_is_written_anew(cuhk_sysu_root, monkeypatch, forbid_parsing):
    logged = []
    monkeypatch.setattr(
        'mmps.datasets.array_cache.print_log', lambda message, **_: logged.append(message)
    )
    path = cuhk_sysu_root / G50_MAT
    load_search_file(path, 'TestG50')
    (cache,) = (cuhk_sysu_root.parent / 'cache' / 'mmps').iterdir()
    with np.load(cache) as content:
        arrays = dict(content)
    del arrays['num_to_find']
    np.savez(cache, **arrays)
    assert load_search_file(path, 'TestG50').num_to_find.tolist() == [2, 1]
    assert f'{cache}: unusable cache, written anew' in logged[0]
    forbid_parsing()
    assert load_search_file(path, 'TestG50').num_to_find.tolist() == [2, 1]
