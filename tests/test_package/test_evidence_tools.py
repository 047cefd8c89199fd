"""`protonorm_toy.py` and `run_ablations.py`: evidence for what the papers say of their parts."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_models import CONFIGS, scaled_config

from mmps.models import prototype_labels
from mmps.registry import MODELS

TOOLS = CONFIGS.parent / 'tools' / 'analysis_tools'
pytestmark = pytest.mark.skipif(not TOOLS.is_dir(), reason='mmps is not run from its repository')

Tool = dict[str, Any]


def run_tool(tool: Tool, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, 'argv', ['tool', *map(str, arguments)])
    tool['main']()


# --------------------------------------------------------------------- Fig. 1 of OIMNet++


@pytest.fixture(scope='module')
def toy() -> Tool:
    return runpy.run_path(str(TOOLS / 'protonorm_toy.py'))


def test_arcs_are_what_is_nearest_on_the_circle(toy: Tool) -> None:
    angles = np.array([350.0, 20, 200, 90])
    starts, widths = toy['arcs'](angles)
    # Borders half way between neighbours: 5, 55, 145 and 275 degrees.
    assert (starts % 360).tolist() == [275, 5, 145, 55]
    assert widths.tolist() == [90, 50, 130, 90]

    everywhere = torch.linspace(0, 359.5, 720).deg2rad()
    nearest = toy['nearest'](torch.stack([everywhere.cos(), everywhere.sin()], dim=1), angles)
    counted = np.bincount(nearest, minlength=4) / 2
    np.testing.assert_allclose(counted, widths, atol=0.5)


def test_normalised_as_in_training(toy: Tool) -> None:
    features = torch.tensor([[1.0, 0], [3, 0], [8, 6], [4, 2]])
    ids = torch.tensor([0, 0, 1, 0])
    norms = toy['NORMS']
    assert torch.equal(toy['normalise'](features, ids, norms['none']), features)
    plain = (features - features.mean(dim=0)) / features.std(dim=0, correction=0)
    torch.testing.assert_close(
        toy['normalise'](features, ids, norms['BatchNorm']), plain, rtol=1e-4, atol=1e-4
    )
    mean = (features[ids == 0].mean(dim=0) + features[2]) / 2
    deviation = (features - mean).square().mean(dim=0).sqrt()
    torch.testing.assert_close(
        toy['normalise'](features, ids, norms['ProtoNorm']),
        (features - mean) / deviation,
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize('identities', [5, 6, 8])
@pytest.mark.parametrize('seed', [0, 1])
def test_proto_norm_makes_the_arcs_most_alike(toy: Tool, identities: int, seed: int) -> None:
    report = toy['study'](identities, seed)
    for figures in report.values():
        assert sum(figures.arcs) == pytest.approx(360)
    spread = {name: np.ptp(figures.arcs) * identities / 360 for name, figures in report.items()}
    assert spread['ProtoNorm'] < 0.3 < 0.5 < spread['BatchNorm'] < 2 < spread['none']
    # Of BatchNorm's, the frequent identities own the largest.
    assert set(np.argsort(report['BatchNorm'].arcs)[-2:]) == {0, 1}
    accuracy = [report[name].accuracy for name in ('none', 'BatchNorm', 'ProtoNorm')]
    assert accuracy == sorted(accuracy)
    assert accuracy[0] < 0.95 < 0.99 < accuracy[2]


def test_toy_writes_the_picture_and_the_figures(
    toy: Tool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / 'new' / 'toy.png'
    run_tool(toy, monkeypatch, '--out', path, '--json')
    assert path.read_bytes().startswith(b'\x89PNG')
    printed = json.loads(capsys.readouterr().out)
    assert printed['ProtoNorm']['arcs'] == toy['study'](6, 0)['ProtoNorm'].arcs
    run_tool(toy, monkeypatch, '--out', path)
    printed = capsys.readouterr().out
    assert 'ProtoNorm │       63.5' in printed
    assert 'Alike: 60.0 each.' in printed
    with pytest.raises(SystemExit):
        run_tool(toy, monkeypatch, '--identities', 2)
    assert '--identities must be at least 3, not 2' in capsys.readouterr().err


# --------------------------------------------------------------------- ablations


@pytest.fixture(scope='module')
def ablations() -> Tool:
    return runpy.run_path(str(TOOLS / 'run_ablations.py'))


@pytest.fixture
def small_config(tiny_prw: Path) -> Config:
    config = scaled_config('seqxt_sample', tiny_prw)
    config.train_cfg.update(max_epochs=1)
    config.default_hooks.logger.interval = 1
    config.custom_hooks = [dict(type='mmps.MemoryHook', interval=1)]
    return config


def test_cells_differ_in_norm_and_loss_alone(ablations: Tool, small_config: Config) -> None:
    base = small_config.to_dict()
    settings = {}
    for norm in ablations['NORMS']:
        for loss in ablations['LOSSES']:
            cell = ablations['Cell'](norm, loss)
            config = ablations['cell_config'](small_config, cell, seed=5, load_from=None)
            head = config.model.roi_head
            settings[cell] = (head.embedding_head.norm_cfg, head.loss_reid.type)
            assert config.randomness.seed == 5
            for part in ('embedding_head', 'loss_reid'):
                head[part] = small_config.model.roi_head[part]
            assert config.model.to_dict() == small_config.model.to_dict()
    assert small_config.to_dict() == base
    assert settings['none', 'OIM'] == (None, 'mmps.OIMLoss')
    assert settings['BN', 'LOIM'] == (dict(type='BN1d', affine=False), 'mmps.LOIMLoss')
    assert settings['PN', 'DOIM'] == (dict(type='mmps.PN1d', affine=False), 'mmps.DOIMLoss')
    assert len({str(value) for value in settings.values()}) == 9


def test_every_cell_can_be_built(ablations: Tool, small_config: Config) -> None:
    for norm in ablations['NORMS']:
        for loss in ablations['LOSSES']:
            cell = ablations['Cell'](norm, loss)
            config = ablations['cell_config'](small_config, cell, seed=0, load_from=None)
            init_default_scope('mmdet')
            head = MODELS.build(config.model).roi_head
            assert head.loss_reid.table.vectors.shape == (3, 128)
            assert len(head.loss_reid.queue.vectors) == 4
            with prototype_labels(head.embedding_head, torch.tensor([0, 1, -1])):
                embeddings, _ = head.embedding_head((torch.rand(3, 16), torch.rand(3, 32)))
            assert embeddings.shape == (3, 128)


def test_weights_are_forgotten_by_prefix(ablations: Tool, tmp_path: Path) -> None:
    source, target = tmp_path / 'trained.pth', tmp_path / 'new' / 'start.pth'
    weights = {name: torch.rand(2) for name in ('neck.a', 'head.a', 'head.b', 'header.a')}
    torch.save({'state_dict': weights, 'optimizer': {}}, source)
    ablations['forget'](source, ['head.', 'neck.'], target)
    kept = torch.load(target, weights_only=True)['state_dict']
    assert kept.keys() == {'header.a'}
    assert torch.equal(kept['header.a'], weights['header.a'])
    with pytest.raises(ValueError, match=r"trained\.pth starts with 'tail\.'"):
        ablations['forget'](source, ['head.', 'tail.'], target)


def test_mean_and_spread(ablations: Tool) -> None:
    cell, other = ablations['Cell']('BN', 'OIM'), ablations['Cell']('PN', 'OIM')
    summary = ablations['summarise'](
        {
            cell: [
                {'search/mAP': 0.5, 'memory_cosine_both': 0.1},
                {'search/mAP': 0.6, 'memory_cosine_both': 0.2},
                {'search/mAP': 0.7, 'memory_cosine_both': 0.3},
            ],
            other: [{'search/mAP': 0.25}],
        }
    )
    assert summary[cell]['search/mAP'] == pytest.approx(dict(mean=0.6, std=0.1, runs=3))
    assert summary[other] == {'search/mAP': dict(mean=0.25, runs=1)}
    columns = ablations['make_table'](summary).columns
    assert [list(column.cells) for column in columns] == [
        *(['BN', 'PN'], ['OIM', 'OIM'], ['3', '1']),
        *(['60.0 ± 10.0', '25.0'], ['0.200 ± 0.100', '-']),
    ]


@pytest.fixture
def run(
    ablations: Tool, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Run the tool on one cell of the scaled-down sample, with more arguments."""
    small_config.dump(tmp_path / 'small.py')
    cell = ('--norms', 'PN', '--losses', 'DOIM', '--seeds', 3)

    def run(*arguments: object) -> None:
        work_dir = ('--work-dir', tmp_path / 'work')
        run_tool(ablations, monkeypatch, tmp_path / 'small.py', *work_dir, *cell, *arguments)

    return run


def test_a_run_is_trained_once(
    run: Callable[..., None],
    ablations: Tool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run()
    assert '1/1 PN, DOIM, seed 3: ' in capsys.readouterr().out
    result = tmp_path / 'work' / 'pn_doim' / 'seed3' / 'result.json'
    figures = json.loads(result.read_text())['figures']
    assert 0 <= figures['search/mAP'] <= 1
    assert 0 <= figures['det/AP'] <= 1
    assert figures['memory_filled_table'] > 0
    assert -1 <= figures['memory_cosine_both'] <= 1
    assert not list(tmp_path.rglob('*.pth'))

    # What is printed is what the file says, not what a new training gave.
    stored = json.loads(result.read_text())
    stored['figures']['search/mAP'] = 0.123
    result.write_text(json.dumps(stored))
    run()
    printed = capsys.readouterr().out
    assert '1/1 PN, DOIM, seed 3: was done before' in printed
    assert '| PN | DOIM | 1 | 12.3 |' in ' '.join(printed.split())
    (cell,) = json.loads((tmp_path / 'work' / 'summary.json').read_text())
    assert (cell['norm'], cell['loss']) == ('PN', 'DOIM')
    assert cell['figures']['search/mAP'] == dict(mean=0.123, runs=1)

    with pytest.raises(SystemExit, match=r'result\.json is of a run with another cfg_options'):
        run('--cfg-options', 'train_cfg.max_epochs=2')


def test_a_failed_training_names_its_output(
    run: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, 'executable', 'false')
    with pytest.raises(SystemExit, match=r'exit code 1; see .*pn_doim/seed3/output\.txt'):
        run()
    assert not list(tmp_path.rglob('result.json'))


def test_mistakes_are_named(
    run: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run('--load-from', tmp_path / 'no.pth')
    assert 'there is no checkpoint file' in capsys.readouterr().err
    with pytest.raises(SystemExit, match=r'model\.roi_head has no loss_reid'):
        run('--cfg-options', 'model.roi_head._delete_=True', 'model.roi_head.embedding_head.a=1')
