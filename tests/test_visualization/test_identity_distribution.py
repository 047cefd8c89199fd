from pathlib import Path

import mmcv
import numpy as np
import pytest

from mmps.visualization.identity_distribution import draw_identity_distribution


def coverage(path: Path) -> np.ndarray:
    """Share of every column of the picture that has ink."""
    return (mmcv.imread(str(path), flag='unchanged')[..., 3] > 0).mean(axis=0)


def test_a_long_tail_falls_from_left_to_right(tmp_path: Path) -> None:
    counts = [1] * 60 + [3] * 20 + [100] * 10
    draw_identity_distribution({'train': counts, 'test': []}, tmp_path / 'long.png')
    draw_identity_distribution({'train': [10] * 90}, tmp_path / 'flat.png')
    long, flat = coverage(tmp_path / 'long.png'), coverage(tmp_path / 'flat.png')
    left, right = slice(170, 200), slice(900, 950)
    assert long[left].mean() > 3 * long[right].mean()
    assert flat[left].mean() == pytest.approx(flat[right].mean(), abs=0.1)


def test_nobody_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='no identity to draw'):
        draw_identity_distribution({'train': [], 'test': []}, tmp_path / 'none.png')
    assert not (tmp_path / 'none.png').exists()
