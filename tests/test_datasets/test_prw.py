import logging
import pickle
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS
from prw_folder import GALLERY, TRAIN, write_rows
from scipy.io import savemat

from mmps.datasets import PRWDataset, messages, prw_cache
from mmps.datasets.mat_files import read_mat


def load(root: Path, split: str, **kwargs) -> PRWDataset:
    return PRWDataset(str(root), split, serialize_data=False, **kwargs)


def boxes(item: dict) -> list:
    return [instance['bbox'] for instance in item['instances']]


def pids(item: dict) -> list:
    return [instance['pid'] for instance in item['instances']]


@pytest.fixture
def warnings_logged(monkeypatch: pytest.MonkeyPatch) -> list:
    logged = []

    def collect(message: str, logger: str, level: int = logging.INFO) -> None:
        logged.append((level, message))

    monkeypatch.setattr('mmps.datasets.prw.print_log', collect)
    monkeypatch.setattr('mmps.datasets.array_cache.print_log', collect)
    return logged


def test_train_items(prw_root):
    dataset = load(prw_root, 'train')
    assert len(dataset) == 3
    items = [dataset.get_data_info(index) for index in range(3)]
    assert [item['img_name'] for item in items] == [f'{frame}.jpg' for frame in TRAIN]
    assert [item['img_id'] for item in items] == [0, 1, 2]
    assert [item['camera_id'] for item in items] == [1, 2, 6]
    assert items[0]['img_path'] == str(prw_root / 'frames' / 'c1s1_000151.jpg')
    assert 'queries' not in items[0]
    # Truncated after adding: 10.7 + 30.6 = 41.3, 20.2 + 40.9 = 61.1.
    assert boxes(items[0]) == [[10, 20, 41, 61], [1, 2, 31, 42]]
    # Negative coordinates are clipped before adding, so widths stay.
    assert boxes(items[1]) == [[0, 5, 10, 17], [4, 0, 24, 31]]
    assert boxes(items[2]) == [[0, 0, 5, 5]]
    assert [pids(item) for item in items] == [[0, -1], [2, 0], [1]]
    assert items[0]['instances'][0] == {
        'bbox': [10.0, 20.0, 41.0, 61.0],
        'bbox_label': 0,
        'ignore_flag': 0,
        'pid': 0,
    }


def test_identities_are_contiguous_and_map_back(prw_root):
    train = load(prw_root, 'train')
    assert train.num_persons == 3
    assert train.metainfo['person_ids'] == [5, 7, 932]
    assert train.metainfo['classes'] == ('person',)
    gallery, query = load(prw_root, 'gallery'), load(prw_root, 'query')
    # 490 occurs among the queries only.
    assert gallery.metainfo['person_ids'] == query.metainfo['person_ids'] == [479, 484, 490]
    assert gallery.num_persons == query.num_persons == 3


def test_gallery_items_carry_their_queries(prw_root):
    dataset = load(prw_root, 'gallery', test_mode=True)
    items = [dataset.get_data_info(index) for index in range(3)]
    assert [item['img_name'] for item in items] == [f'{frame}.jpg' for frame in GALLERY]
    # box_new comes before the older annotations of the same file.
    assert boxes(items[0]) == [[12, 8, 32, 38]]
    assert [pids(item) for item in items] == [[1], [0, 1, -1], []]
    # -3.6 + 20.8 = 17.2, 8.9 + 30.3 = 39.2: added, truncated, clipped last.
    assert items[0]['queries'] == [
        {'bbox': [0.0, 8.0, 17.0, 39.0], 'pid': 1, 'query_id': 0},
        {'bbox': [4.0, 4.0, 10.0, 10.0], 'pid': 2, 'query_id': 2},
    ]
    assert items[1]['queries'] == [{'bbox': [3.0, 3.0, 12.0, 12.0], 'pid': 0, 'query_id': 1}]
    assert items[2]['queries'] == []


def test_query_items(prw_root):
    dataset = load(prw_root, 'query', test_mode=True)
    items = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert [item['query_id'] for item in items] == [0, 1, 2]
    assert [item['img_name'] for item in items] == [
        'c3s2_001000.jpg',
        'c1s2_000900.jpg',
        'c3s2_001000.jpg',
    ]
    assert [item['img_id'] for item in items] == [0, 1, 0]
    assert [boxes(item) for item in items] == [[[0, 8, 17, 39]], [[3, 3, 12, 12]], [[4, 4, 10, 10]]]
    assert [pids(item) for item in items] == [[1], [0], [2]]


def test_boxes_untruncated(prw_root):
    train = load(prw_root, 'train', truncate_boxes=False).get_data_info(0)
    np.testing.assert_allclose(boxes(train)[0], [10.7, 20.2, 41.3, 61.1], rtol=1e-6)
    query = load(prw_root, 'query', truncate_boxes=False).get_data_info(0)
    np.testing.assert_allclose(boxes(query)[0], [0, 8.9, 17.2, 39.2], rtol=1e-6)


def test_listing_of_plain_strings(prw_root):
    savemat(prw_root / 'frame_train.mat', {'img_index_train': list(TRAIN)})
    assert load(prw_root, 'train').get_data_info(2)['img_name'] == 'c6s1_000300.jpg'


def test_frames_without_boxes_stay_unless_filtered(prw_root):
    write_rows(prw_root, TRAIN[1], box_new=np.zeros((0, 5)))
    assert len(load(prw_root, 'train')) == 3
    filtered = load(prw_root, 'train', filter_cfg={'filter_empty_gt': True})
    assert [filtered.get_data_info(index)['img_id'] for index in range(len(filtered))] == [0, 2]
    kept = load(prw_root, 'train', filter_cfg={'filter_empty_gt': True}, test_mode=True)
    assert len(kept) == 3


def test_small_frames_are_filtered(prw_root):
    cv2.imwrite(str(prw_root / 'frames' / f'{TRAIN[0]}.jpg'), np.zeros((31, 90, 3), np.uint8))
    filtered = load(prw_root, 'train', filter_cfg={'min_size': 32})
    assert [filtered.get_data_info(index)['img_id'] for index in range(len(filtered))] == [1, 2]
    assert filtered.get_data_info(0)['height'] == 48
    assert filtered.get_data_info(0)['width'] == 64
    with pytest.raises(ValueError, match=r"3 items of the split 'train' none is left .*: 64\}"):
        load(prw_root, 'train', filter_cfg={'min_size': 64})
    with pytest.raises(ValueError, match=r"not \['min_gt_size'\]"):
        load(prw_root, 'train', filter_cfg={'min_gt_size': 32})


def test_lazy_init_and_indices(prw_root):
    dataset = load(prw_root, 'train', lazy_init=True, indices=2)
    assert not dataset._fully_initialized
    assert dataset.num_persons == 3
    assert dataset._fully_initialized
    assert len(dataset) == 2
    assert dataset.get_cat_ids(0) == [0, 0]
    load(prw_root / 'nowhere', 'train', lazy_init=True)


def test_builds_from_the_root_registry(prw_root):
    config = {'type': 'mmps.PRWDataset', 'data_root': str(prw_root), 'split': 'train'}
    assert len(DATASETS.build(config)) == 3


# --- what is wrong with the data is said, with file and entry


def test_unknown_split(prw_root):
    with pytest.raises(ValueError, match="train, gallery, query, not 'val'"):
        load(prw_root, 'val')


def test_absent_data_root(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load(tmp_path / 'nowhere', 'train')
    message = str(caught.value)
    assert 'nowhere' in message
    assert 'https://zheng-lab.cecs.anu.edu.au/Project/project_prw.html' in message
    for part in ('frames/c1s1_000151.jpg', 'annotations/', 'frame_train.mat', 'query_info.txt'):
        assert part in message


@pytest.mark.parametrize(
    ('split', 'file'),
    [('train', 'frame_train.mat'), ('gallery', 'frame_test.mat'), ('query', 'query_info.txt')],
)
def test_missing_file_of_the_layout(prw_root, split, file):
    (prw_root / file).unlink()
    with pytest.raises(FileNotFoundError, match=f'PRW.* has no {file}. PRW is published'):
        load(prw_root, split)


def test_missing_folder_of_frames(prw_root):
    (prw_root / 'frames').rename(prw_root / 'elsewhere')
    with pytest.raises(FileNotFoundError, match=r'has no frames. .*check_frames=False'):
        load(prw_root, 'train')
    assert len(load(prw_root, 'train', check_frames=False)) == 3


def test_missing_frames_are_named_and_counted(prw_root):
    (prw_root / 'frames' / 'c2s1_000200.jpg').unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r'frames: 1 of 3 .* frame_train.mat .* missing: c2s1_000200.jpg\. Restore them, '
        'or set check_frames=False .*up to max_share of mmps.UnreadableImagesHook',
    ):
        load(prw_root, 'train')
    for frame in (TRAIN[0], TRAIN[2]):
        (prw_root / 'frames' / f'{frame}.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='3 of 3'):
        load(prw_root, 'train')


def test_empty_frames_are_named(prw_root):
    (prw_root / 'frames' / 'c2s1_000200.jpg').write_bytes(b'')
    with pytest.raises(
        ValueError,
        match=r'frames: 1 of 3 .* are empty: c2s1_000200.jpg\. Restore them, or set check_',
    ):
        load(prw_root, 'train')
    assert len(load(prw_root, 'train', check_frames=False)) == 3


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'other': [1]}, r"no variable 'img_index_train' in it, only \['other'\]"),
        ({'img_index_train': ['c1s1_000151', 'd1']}, r"entry 2 of 'img_index_train' is \['d1'\]"),
        ({'img_index_train': ['c1s1_000151'] * 2}, 'lists the frame c1s1_000151 twice'),
        ({'img_index_train': np.zeros((0, 1))}, 'lists no frames'),
    ],
)
def test_bad_listing(prw_root, content, message):
    savemat(prw_root / 'frame_train.mat', content)
    with pytest.raises(ValueError, match=f'frame_train.mat: .*{message}'):
        load(prw_root, 'train')


def test_missing_annotation_file(prw_root):
    (prw_root / 'annotations' / 'c2s1_000200.jpg.mat').unlink()
    with pytest.raises(
        FileNotFoundError, match=r'annotations: 1 of 3 frames .*: c2s1_000200.jpg.mat$'
    ):
        load(prw_root, 'train')


def test_empty_annotation_file(prw_root):
    (prw_root / 'annotations' / 'c2s1_000200.jpg.mat').write_bytes(b'')
    with pytest.raises(ValueError, match=r'1 of 3 .*c2s1_000200.jpg.mat: the file is empty'):
        load(prw_root, 'train')


@pytest.mark.parametrize('compressed', [False, True])
def test_annotation_file_truncated_anywhere(prw_root, compressed):
    path = prw_root / 'annotations' / 'c2s1_000200.jpg.mat'
    savemat(path, {'box_new': np.arange(10.0).reshape(2, 5)}, do_compression=compressed)
    content = path.read_bytes()
    assert len(read_mat(path)['box_new']) == 2
    for length in range(1, len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r'1 of 3 annotation files .*c2s1_000200.jpg.mat: '):
            load(prw_root, 'train')


def test_all_damaged_files_in_one_error(prw_root):
    for frame in TRAIN:
        (prw_root / 'annotations' / f'{frame}.jpg.mat').write_bytes(b'no mat file')
    with pytest.raises(ValueError, match='3 of 3 annotation files') as caught:
        load(prw_root, 'train')
    assert all(frame in str(caught.value) for frame in TRAIN)
    assert messages.examples(['a', 'b', 'c', 'd', 'e']) == 'a; b; c; and 2 more'


@pytest.mark.parametrize(
    ('variables', 'message'),
    [
        ({'boxes': [[1, 2, 3, 4, 5]]}, r'box_new, anno_file, anno_previous .* only \[.boxes.\]'),
        ({'box_new': [[1, 2, 3, 4]]}, r'rows of five numbers .* shape \(1, 4\)'),
        ({'box_new': [[1, 2, 3, 4, 5], [1, np.nan, 3, 4, 5]]}, "row 2 of 'box_new'"),
        ({'box_new': [[-1, 2, 3, 4, 5]]}, r'row 1 .*-1.0, .*-2 for none'),
        ({'box_new': [[1.5, 2, 3, 4, 5]]}, 'row 1 '),
    ],
)
def test_senseless_annotation(prw_root, variables, message):
    write_rows(prw_root, 'c2s1_000200', **variables)
    with pytest.raises(ValueError, match=f'c2s1_000200.jpg.mat: .*{message}'):
        load(prw_root, 'train')


def test_boxes_without_area_are_dropped_from_training_with_one_warning(prw_root, warnings_logged):
    write_rows(prw_root, TRAIN[0], box_new=[[5, 1, 2, 0.5, 9], [7, 1, 2, 3, 4], [9, 1, 2, 3, -4]])
    write_rows(prw_root, TRAIN[1], box_new=[[5, 1, 2, 3, 0]])
    dataset = load(prw_root, 'train')
    assert [boxes(dataset.get_data_info(index)) for index in range(3)] == [
        [[1, 2, 4, 6]],
        [],
        [[0, 0, 5, 5]],
    ]
    # Identities that have no box left get no pid.
    assert dataset.metainfo['person_ids'] == [7]
    ((level, message),) = warnings_logged
    assert level == logging.WARNING
    assert re.search(
        r'3 boxes without area are dropped: c1s1_000151.jpg.mat row 1 .*; '
        r'c1s1_000151.jpg.mat row 3 .*; c2s1_000200.jpg.mat row 1 ',
        message,
    )


def test_box_without_area_in_the_gallery(prw_root):
    write_rows(prw_root, GALLERY[0], box_new=[[484, 1, 2, 3, 4], [484, 1, 2, 3, 0]])
    with pytest.raises(ValueError, match=r'1 boxes without area.*c3s2_001000.jpg.mat row 2 '):
        load(prw_root, 'gallery')


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        (b'479 1 2 3 4 c1s1_000151', 'c1s1_000151 of query 479 is not in the gallery: frame_test'),
        (b'479 1 2 3 0 c1s2_000900', 'the box of query 479 on c1s2_000900 has no area'),
        (b'479 1 2 3 c1s2_000900', "'479 1 2 3 c1s2_000900' is not a query"),
        (b'479 1 2 3 x c1s2_000900', 'is not a query; wanted is "id x y w h frame"'),
        (b'479 1 2 3 nan c1s2_000900', 'is not a query'),
        (b'-2 1 2 3 4 c1s2_000900', 'is not a query'),
    ],
)
@pytest.mark.parametrize('split', ['gallery', 'query'])
def test_bad_query(prw_root, split, line, message):
    path = prw_root / 'query_info.txt'
    path.write_bytes(b'484 1 2 3 4 c3s2_001000\r\n\r\n' + line + b'\r\n')
    with pytest.raises(ValueError, match=f'query_info.txt:3: .*{message}'):
        load(prw_root, split)


def test_no_queries(prw_root):
    (prw_root / 'query_info.txt').write_bytes(b'\r\n')
    with pytest.raises(ValueError, match=r'query_info.txt: no queries in it'):
        load(prw_root, 'gallery')


# --- the cache


@pytest.fixture
def cached_root(prw_root, monkeypatch):
    monkeypatch.setattr(prw_cache, 'CACHE_FROM', 2)
    return prw_root


def cache_files(root: Path) -> list[Path]:
    return sorted((root.parent / 'cache' / 'mmps').glob('*'))


def items_of(root: Path) -> list[dict]:
    dataset = load(root, 'train')
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def forbid_parsing(monkeypatch):
    def parse(path):
        raise AssertionError(f'{path} was parsed again')

    monkeypatch.setattr(prw_cache, 'read_person_rows', parse)


def test_small_folders_are_not_cached(prw_root):
    load(prw_root, 'train')
    assert cache_files(prw_root) == []


def test_cache_gives_the_same_items(cached_root, monkeypatch):
    parsed = items_of(cached_root)
    assert len(cache_files(cached_root)) == 1
    forbid_parsing(monkeypatch)
    assert items_of(cached_root) == parsed


def test_changed_annotations_are_parsed_again(cached_root):
    items_of(cached_root)
    write_rows(cached_root, TRAIN[2], box_new=[[8, 1, 1, 6, 6], [-2, 0, 0, 9, 9]])
    assert boxes(items_of(cached_root)[2]) == [[1, 1, 7, 7], [0, 0, 9, 9]]
    (cached_root / 'annotations' / f'{TRAIN[2]}.jpg.mat').unlink()
    with pytest.raises(FileNotFoundError, match=TRAIN[2]):
        items_of(cached_root)


def test_splits_do_not_share_a_cache(cached_root):
    load(cached_root, 'train')
    assert load(cached_root, 'gallery').num_persons == 3
    assert len(cache_files(cached_root)) == 2


@pytest.mark.parametrize('damage', ['truncated', 'garbage', 'pickled', 'wrong shape'])
def test_damaged_cache_is_written_anew(cached_root, monkeypatch, damage, warnings_logged):
    parsed = items_of(cached_root)
    (path,) = cache_files(cached_root)
    if damage == 'truncated':
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == 'garbage':
        path.write_bytes(b'garbage')
    elif damage == 'pickled':
        path.write_bytes(pickle.dumps({'rows': 1}))
    else:
        with np.load(path) as content:
            arrays = dict(content)
        arrays['counts'] = arrays['counts'][:-1]
        np.savez(path, **arrays)
    assert items_of(cached_root) == parsed
    ((_, message),) = warnings_logged
    assert f'{path}: unusable cache, written anew' in message
    forbid_parsing(monkeypatch)
    assert items_of(cached_root) == parsed


def test_cache_folder_that_cannot_be_written(cached_root, monkeypatch):
    blocker = cached_root.parent / 'a_file'
    blocker.write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(blocker))
    assert len(items_of(cached_root)) == 3


def test_no_partial_cache_is_left(cached_root, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError('no space left')

    monkeypatch.setattr(prw_cache.np, 'savez', fail)
    assert len(items_of(cached_root)) == 3
    assert cache_files(cached_root) == []


def test_progress_bar_only_when_long(prw_root, monkeypatch, capsys):
    load(prw_root, 'train')
    assert capsys.readouterr().err == ''
    monkeypatch.setattr(messages, 'SILENT_SECONDS', 0)
    load(prw_root, 'train')
    assert '3/3' in capsys.readouterr().err
