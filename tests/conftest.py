from pathlib import Path

import pytest

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
