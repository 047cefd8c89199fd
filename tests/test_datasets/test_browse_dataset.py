from pathlib import Path

import cv2
import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[2]

CONFIG = """
_base_ = {base!r}
default_scope = 'mmdet'
custom_imports = dict(imports=['mmps'], allow_failed_imports=False)
train_dataloader = dict(dataset=dict(data_root={root!r}))
val_dataloader = dict(dataset=dict(data_root={root!r}))
test_dataloader = dict(dataset=dict(data_root={root!r}))
visualizer = dict(type='mmps.PersonSearchVisualizer', name='browse')
"""


def write_config(path: Path, dataset: str, root: Path) -> Path:
    base = str(REPOSITORY / 'configs' / '_base_' / 'datasets' / f'{dataset}.py')
    path.write_text(CONFIG.format(base=base, root=str(root)))
    return path


@pytest.fixture
def config(prw_root, tmp_path):
    return write_config(tmp_path / 'tiny.py', 'prw', prw_root)


def test_draws_the_training_split_as_the_model_gets_it(config, tmp_path, run_tool, capsys):
    out = tmp_path / 'out'
    run_tool('browse_dataset.py', config, '--num', 2, '--out-dir', out)
    assert sorted(path.name for path in out.iterdir()) == ['c1s1_000151.jpg', 'c2s1_000200.jpg']
    picture = cv2.imread(str(out / 'c2s1_000200.jpg'))
    assert picture.shape == (900, 1200, 3)
    # The frame is grey 20; boxes and identities are not.
    background = np.abs(picture.astype(int) - 20).max(axis=2) < 12
    assert 0.5 < background.mean() < 0.99
    assert f'2 pictures in {out}' in capsys.readouterr().out


def test_draws_the_gallery_on_its_frames(config, tmp_path, run_tool, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_tool('browse_dataset.py', config, '--split', 'val')
    out = tmp_path / 'work_dirs' / 'browse_dataset' / 'tiny' / 'val'
    assert len(list(out.iterdir())) == 3
    picture = cv2.imread(str(out / 'c1s2_000900.jpg')).astype(int)
    assert picture.shape == (48, 64, 3)
    changed = np.argwhere(np.abs(picture - 80).max(axis=2) > 40)
    # Boxes of that frame reach from (1, 1) to (13, 13); nothing is drawn far beyond.
    assert len(changed) > 0
    assert changed.max() < 40
    empty = cv2.imread(str(out / 'c4s3_002000.jpg')).astype(int)
    assert np.abs(empty - 100).max() < 12


def test_draws_cuhk_sysu(cuhk_sysu_root, tmp_path, run_tool):
    config = write_config(tmp_path / 'tiny.py', 'cuhk-sysu', cuhk_sysu_root)
    out = tmp_path / 'out'
    run_tool('browse_dataset.py', config, '--split', 'test', '--out-dir', out)
    assert sorted(path.name for path in out.iterdir()) == ['s3.jpg', 's5.jpg', 's6.jpg', 's7.jpg']
    picture = cv2.imread(str(out / 's6.jpg')).astype(int)
    changed = np.argwhere(np.abs(picture - 120).max(axis=2) > 40)
    # Its one box reaches from (8, 8) to (20, 32).
    assert len(changed) > 0
    assert changed[:, 1].max() < 50


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('nowhere.py',), 'there is no config file nowhere.py'),
        ((__file__, '--num', 0), '--num must be at least 1, not 0'),
        ((__file__, '--split', 'gallery'), "invalid choice: 'gallery'"),
    ],
)
def test_senseless_arguments(run_tool, capsys, args, message):
    with pytest.raises(SystemExit) as caught:
        run_tool('browse_dataset.py', *args)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
