from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmps.datasets import LoadPersonSearchAnnotations, PackPersonSearchInputs, PRWDataset

BASE = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets' / 'prw.py'


@pytest.fixture
def config(prw_root):
    """The config's own dataset part on the tiny PRW."""
    config = Config.fromfile(BASE)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = str(prw_root)
        loader.num_workers = 0
        loader.persistent_workers = False
        loader.pin_memory = False
    return config


@pytest.fixture(autouse=True)
def _mmdet_scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def item(pids: tuple[int, ...] = (3, -1), **extra) -> dict:
    instances = [
        {'bbox': [10.0 * i, 2.0, 10.0 * i + 5, 12.0], 'bbox_label': 0, 'ignore_flag': 0, 'pid': pid}
        for i, pid in enumerate(pids, start=1)
    ]
    image = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)
    return {
        'img': image,
        'img_path': 'frames/a.jpg',
        'img_shape': (40, 60),
        'ori_shape': (40, 60),
        'instances': instances,
        **extra,
    }


def test_load_annotations():
    results = LoadPersonSearchAnnotations()(item())
    assert isinstance(results['gt_bboxes'], HorizontalBoxes)
    torch.testing.assert_close(
        results['gt_bboxes'].tensor, torch.tensor([[10.0, 2, 15, 12], [20, 2, 25, 12]])
    )
    assert results['gt_instances_ids'].dtype == np.int64
    np.testing.assert_array_equal(results['gt_instances_ids'], [3, -1])
    np.testing.assert_array_equal(results['gt_bboxes_labels'], [0, 0])
    np.testing.assert_array_equal(results['gt_ignore_flags'], [False, False])


def test_load_annotations_of_an_empty_frame():
    results = LoadPersonSearchAnnotations()(item(pids=()))
    assert results['gt_bboxes'].tensor.shape == (0, 4)
    assert results['gt_instances_ids'].shape == (0,)
    assert results['gt_instances_ids'].dtype == np.int64


def test_instance_without_pid():
    results = item()
    del results['instances'][1]['pid']
    with pytest.raises(KeyError, match=r"instance of frames/a.jpg has no 'pid'"):
        LoadPersonSearchAnnotations()(results)


def test_pack():
    results = item(
        img_id=7,
        img_name='a.jpg',
        camera_id=4,
        queries=[{'bbox': [1.5, 2, 3, 4], 'pid': 3, 'query_id': 11}],
        width=60,
    )
    packed = PackPersonSearchInputs()(LoadPersonSearchAnnotations()(results))
    assert packed['inputs'].shape == (3, 40, 60)
    assert packed['inputs'][2, 1, 5] == results['img'][1, 5, 2]
    sample = packed['data_samples']
    assert sample.gt_instances.pids.dtype == torch.int64
    assert sample.gt_instances.pids.tolist() == [3, -1]
    assert sample.gt_instances.labels.tolist() == [0, 0]
    assert sample.gt_instances.bboxes.tensor[1].tolist() == [20, 2, 25, 12]
    queries = sample.query_instances
    assert queries.bboxes.dtype == torch.float32
    assert queries.bboxes.tolist() == [[1.5, 2, 3, 4]]
    assert queries.pids.tolist() == [3]
    assert queries.query_ids.tolist() == [11]
    assert sample.metainfo == {
        'img_id': 7,
        'img_path': 'frames/a.jpg',
        'img_name': 'a.jpg',
        'camera_id': 4,
        'ori_shape': (40, 60),
        'img_shape': (40, 60),
    }


def test_pack_without_annotations_or_queries():
    sample = PackPersonSearchInputs()(item())['data_samples']
    assert len(sample.gt_instances) == 0
    assert sample.query_instances.bboxes.shape == (0, 4)
    assert sample.query_instances.pids.dtype == torch.int64
    assert sample.query_instances.query_ids.shape == (0,)


def test_pack_says_where_identities_were_lost():
    results = LoadPersonSearchAnnotations()(item())
    results['gt_bboxes'] = results['gt_bboxes'][:1]
    with pytest.raises(ValueError, match=r'frames/a.jpg has 1 boxes but 2 identities'):
        PackPersonSearchInputs()(results)


def test_identities_stay_with_their_boxes_through_mmdet_transforms():
    np.random.seed(0)  # noqa: NPY002 (what MMCV's transforms draw from)
    pipeline = Compose(
        [
            LoadPersonSearchAnnotations(),
            {'type': 'RandomFlip', 'prob': 1.0},
            {'type': 'Resize', 'scale': (120, 80), 'keep_ratio': True},
            {'type': 'RandomCrop', 'crop_size': (80, 40), 'allow_negative_crop': True},
            PackPersonSearchInputs(),
        ]
    )
    cut = 0
    for _ in range(20):
        instances = pipeline(item(pids=(0, 1, 2, 3, 4)))['data_samples'].gt_instances
        assert len(instances.bboxes) == len(instances.pids)
        cut += 5 - len(instances)
        # Persons stand left to right by pid; flipped, the order is reversed.
        left = instances.bboxes.tensor[:, 0]
        assert (left[:-1] > left[1:]).all()
        assert (instances.pids.diff() == 1).all()
    assert cut > 0


def test_train_config_gives_batches_of_resized_frames(config):
    config.train_dataloader.batch_size = 3
    loader = Runner.build_dataloader(config.train_dataloader, seed=0)
    (batch,) = list(loader)
    assert [tuple(image.shape) for image in batch['inputs']] == [(3, 900, 1200)] * 3
    samples = {sample.img_name: sample for sample in batch['data_samples']}
    sample = samples['c1s1_000151.jpg']
    factor = 900 / 48
    x1, y1, x2, y2 = (value * factor for value in (10, 20, 41, 48))
    if sample.flip:
        x1, x2 = 1200 - x2, 1200 - x1
    torch.testing.assert_close(sample.gt_instances.bboxes.tensor[0], torch.tensor([x1, y1, x2, y2]))
    assert sample.gt_instances.pids.tolist() == [0, -1]
    assert sample.ori_shape == (48, 64)
    assert sample.scale_factor == (factor, factor)


def test_config_drops_the_last_smaller_batch(config):
    assert len(Runner.build_dataloader(config.train_dataloader)) == 0


def test_test_config_keeps_pixels_of_the_frame(config):
    loader = Runner.build_dataloader(config.test_dataloader)
    batches = list(loader)
    assert len(batches) == 3
    (sample,) = batches[0]['data_samples']
    assert batches[0]['inputs'][0].shape == (3, 900, 1200)
    assert sample.img_name == 'c3s2_001000.jpg'
    assert sample.camera_id == 3
    assert sample.gt_instances.bboxes.tensor.tolist() == [[12, 8, 32, 38]]
    assert sample.query_instances.bboxes.tolist() == [[0, 8, 17, 39], [4, 4, 10, 10]]
    assert sample.query_instances.pids.tolist() == [1, 2]
    assert sample.query_instances.query_ids.tolist() == [0, 2]
    (empty,) = batches[2]['data_samples']
    assert len(empty.gt_instances.pids) == len(empty.query_instances.pids) == 0


def test_frame_that_cannot_be_read_is_named(config, prw_root):
    def dataset():
        pipeline = config.test_pipeline
        return PRWDataset(
            str(prw_root), 'gallery', pipeline=pipeline, check_frames=False, test_mode=True
        )

    path = prw_root / 'frames' / 'c1s2_000900.jpg'
    path.write_bytes(b'no image')
    with pytest.raises(AssertionError, match=r'failed to load image: .*c1s2_000900.jpg'):
        dataset()[1]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r'c1s2_000900.jpg'):
        dataset()[1]
