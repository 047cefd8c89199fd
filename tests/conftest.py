import dataclasses
import logging
import os
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import base_dataset
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from small_models import scaled_config
from torch.utils.data import DataLoader

from mmps.data_tools import annotations_of, with_sizes, write_coco
from mmps.datasets import PRWDataset
from mmps.datasets.annotations import Annotations
from mmps.registry import MODELS
from mmps.sample.generate import SampleSpec, generate_sample

# As open_index does, which comes too late where a test imports pymilvus.
os.environ.setdefault('GRPC_ENABLE_FORK_SUPPORT', '0')

TOOLS = Path(__file__).resolve().parents[1] / 'tools'


@pytest.fixture(scope='session', autouse=True)
def _iterators() -> Iterator[list[Any]]:
    """The iterators over data loaders that were made; garbage is not looked for all the time.

    MMEngine does that whenever it builds a dataset, which takes longer than the rest of some tests.
    """
    made: list[Any] = []
    make = DataLoader._get_iterator

    def make_and_keep(loader: DataLoader) -> Any:
        made.append(make(loader))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base_dataset, 'gc', SimpleNamespace(collect=lambda: 0))
        patch.setattr(DataLoader, '_get_iterator', make_and_keep)
        yield made


@pytest.fixture(autouse=True)
def _workers_end_with_the_test(_iterators: list[Any]) -> Iterator[None]:
    """An iterator that is garbage waits seconds for its workers; after a fork, for ever."""
    yield
    for iterator in _iterators:
        if hasattr(iterator, '_shutdown_workers'):
            iterator._shutdown_workers()
    _iterators.clear()


@pytest.fixture(autouse=True)
def _no_logger_has_a_closed_file() -> Iterator[None]:
    """Uvicorn configures logging, which closes the files of all loggers there are.

    MMEngine writes to that of its last one whenever it initialises a model.
    """
    yield
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers[:]:
            if isinstance(handler, logging.FileHandler) and handler.stream is None:
                logger.removeHandler(handler)


@pytest.fixture
def run_tool(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a tool in this process, by its path in `tools/`, with arguments of the command line."""

    def run(tool: str, *arguments: object) -> None:
        if not TOOLS.is_dir():
            pytest.skip('mmps is not run from its repository')
        monkeypatch.setattr('sys.argv', [Path(tool).name, *map(str, arguments)])
        runpy.run_path(str(TOOLS / tool), run_name='__main__')

    return run


@pytest.fixture(scope='session')
def tiny_prw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in PRW's layout with four training frames and four test frames; do not change it."""
    root = tmp_path_factory.mktemp('tiny') / 'PRW'
    spec = SampleSpec(
        frames_train=4, frames_test=4, identities_train=3, identities_test=2, width=160, height=96
    )
    generate_sample(root, spec)
    return root


@pytest.fixture(scope='session')
def tiny_coco(tiny_prw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as train.json and test.json, each camera a sequence; do not change it."""
    root = tmp_path_factory.mktemp('tiny_coco')
    (root / 'frames').symlink_to(tiny_prw / 'frames')
    for name, split in (('train.json', 'train'), ('test.json', 'gallery')):
        part = with_sizes(annotations_of(PRWDataset(str(tiny_prw), split)), tiny_prw)
        scenes = [dataclasses.replace(s, sequence_id=s.camera_id) for s in part.scenes]
        write_coco({root / name: Annotations(scenes, part.queries)})
    return root


@pytest.fixture(scope='session')
def tiny_config(tiny_prw: Path) -> Config:
    """A small detector on the tiny sample that keeps persons of every score; copy, then change."""
    config = scaled_config('seqxt_sample', tiny_prw)
    stages = config.model.test_cfg.rcnn
    stages.stage1.score_thr = stages.stage2.score_thr = 0.0
    config.visualizer = dict(type='mmps.PersonSearchVisualizer', name='tiny')
    config.custom_hooks = []
    return config


@pytest.fixture(scope='session')
def tiny_weights(tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of it, in a checkpoint that holds its config as those of a training run do."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(tiny_config.model)
    path = tmp_path_factory.mktemp('weights') / 'epoch_1.pth'
    torch.save({'state_dict': model.state_dict(), 'meta': {'cfg': tiny_config.pretty_text}}, path)
    return path
