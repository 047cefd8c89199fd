"""`model-index.yml` and the metafiles of the methods: what `mim search mmps` shows."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.fileio import load

import mmps

ROOT = Path(mmps.__file__).parents[1]
pytestmark = pytest.mark.skipif(
    not (ROOT / 'model-index.yml').is_file(), reason='mmps is not run from its repository'
)
DATASETS = {'prw': 'PRW', 'cuhk-sysu': 'CUHK-SYSU', 'uestc-ps': 'UESTC-PS'}
# Of these there are figures of our own; all others are a paper's.
MEASURED = {'seqxt_sample'}
MARK = ' (paper)'


@pytest.fixture(scope='module')
def metafiles() -> list[dict[str, Any]]:
    return [load(ROOT / file) for file in load(ROOT / 'model-index.yml')['Import']]


@pytest.fixture(scope='module')
def models(metafiles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [model for metafile in metafiles for model in metafile['Models']]


def test_every_metafile_is_imported() -> None:
    files = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob('configs/metafiles/*.yml'))
    assert load(ROOT / 'model-index.yml')['Import'] == files


def test_every_config_has_an_entry(models: list[dict[str, Any]]) -> None:
    folder = ROOT / 'configs'
    configs = {*folder.glob('*.py'), *folder.glob('ablations/*.py')}
    assert len(models) == len(configs)
    assert {ROOT / model['Config'] for model in models} == configs
    for model in models:
        name = Path(model['Config']).stem
        assert model['Name'] == name
        dataset = DATASETS.get(name.rpartition('_')[2], 'Sample of tools/make_sample.py')
        assert model['Metadata']['Training Data'] == dataset, name
        for result in model.get('Results', []):
            assert result['Dataset'] == dataset, name


def test_figures_of_papers_are_marked_as_theirs(models: list[dict[str, Any]]) -> None:
    figures = {
        (model['Name'], name): value
        for model in models
        for result in model.get('Results', [])
        for name, value in result['Metrics'].items()
    }
    for (model, name), value in figures.items():
        assert name.endswith(MARK) != (model in MEASURED), (model, name)
        assert 1 < value < 100, (model, name)  # percent
    # SeqNet's README, and its paper's figures without CBGM.
    assert figures['seqnet_r50_prw', 'mAP with CBGM' + MARK] == 47.6
    assert figures['seqnet_r50_cuhk-sysu', 'top-1' + MARK] == 94.6


def test_figures_of_papers_have_a_source_or_are_absent_for_a_reason(
    metafiles: list[dict[str, Any]],
) -> None:
    """What a model does not say of itself its method's collection does."""
    has_figures = {}
    for metafile in metafiles:
        (method,) = metafile['Collections']
        for model in metafile['Models']:
            metadata = method['Metadata'] | model['Metadata']
            kind, _, text = metadata['Reported Figures'].partition(' ')
            assert text, model['Name']
            names = [name for result in model.get('Results', []) for name in result['Metrics']]
            reported = any(name.endswith(MARK) for name in names)
            assert reported != (kind in ('absent,', 'none,')), model['Name']
            has_figures[model['Name']] = reported
    # One whose source was seen, and one of whose paper only another model's figures were.
    assert has_figures['nae_r50_prw']
    assert not has_figures['nae_r50_cuhk-sysu']


def test_mim_shows_them() -> None:
    pytest.importorskip('modelindex')
    search = pytest.importorskip('mim.commands.search')
    from modelindex.load_model_index import load as load_index

    index = load_index(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    table = search.convert2df(index)
    row = table.loc['seqnet_r50_prw']
    assert row['config'] == 'configs/seqnet_r50_prw.py'
    assert row['model'] == 'seqnet'
    assert row['prw/map_(paper)'] == 46.7
    ablation = table.loc['oimnetpp_bn_oim_r50_prw']
    assert ablation['model'] == 'oimnet++'
    assert ablation['reported_figures'].startswith('absent')
