import dataclasses
from pathlib import Path

import pytest

from mmps.data_tools import annotations_of, with_sizes, write_coco
from mmps.datasets import PRWDataset
from mmps.datasets.annotations import Annotations
from mmps.sample.generate import SampleSpec, generate_sample


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
