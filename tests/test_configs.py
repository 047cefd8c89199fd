"""Every config of a method or an ablation: built as it is, and run as a scaled-down copy.

Those of `configs/reuse/` are in test_reuse.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cuhk_sysu_folder import TRAIN, write_cuhk_sysu
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, EVALUATOR, init_default_scope
from mmengine.runner import Runner
from small_models import (
    CONFIGS,
    build_model,
    make_batch,
    scale_down,
    selections,
    without_downloads,
)

from mmps.registry import MODELS

METHODS = ('nae_r50', 'oim_r50', 'oimnetpp_r50', 'oimnetppp_r50', 'seqnet_r50', 'seqxt_convnext_b')
NAMES = sorted(path.name for path in CONFIGS.glob('*.py'))
# What else is on CUHK-SYSU is the same model with the same data, as
# test_a_method_is_the_same_on_every_dataset checks.
RUN = [name for name in NAMES if not name.endswith('_cuhk-sysu.py')] + ['seqnet_r50_cuhk-sysu.py']
# SeqNet's code has 48,418,735; 16,400 of them regress boxes of background and are never read.
SEQNET = 48_402_335
RES5, CLASSIFIER, REGRESSOR = 14_964_736, 2 * 2049, 4 * 2049
# OIMNet++'s code has 48,522,369, with a second res5 and predictor, and the background's regressor.
OIM = 48_522_369 - RES5 - (CLASSIFIER + 2 * REGRESSOR) - REGRESSOR
PARAMETERS = {
    'nae_r50': SEQNET - RES5 - CLASSIFIER - REGRESSOR,
    'oim_r50': OIM,
    'oimnetpp_r50': OIM,
    'oimnetppp_r50': OIM,
    'seqnet_r50': SEQNET,
}


# The labelled persons of each training set, and the queue that the papers have for it.
MEMORY = {'prw': (483, 500), 'cuhk-sysu': (5532, 5000), 'uestc-ps': (277, 500)}

# Table 2 of OIMNet++ and Tables 2 to 4 of SeqXt: the config of a method, the norm of the embedding
# and the settings of the loss that an ablation has instead.
BN, PN = dict(type='BN1d'), dict(type='mmps.PN1d', affine=False)
PLAIN_BN = dict(type='BN1d', affine=False)
AS_OIM = dict(hea=False, smr=False)
DOIM = dict(type='mmps.DOIMLoss', hea=True, smr=True, decay=0.99)
ABLATIONS: dict[str, tuple[str, dict[str, Any] | None, dict[str, Any]]] = {
    'oimnetpp_none_loim_r50': ('oimnetpp_r50', None, {}),
    'oimnetpp_bn_oim_r50': ('oim_r50', PLAIN_BN, {}),
    'oimnetpp_bn_loim_r50': ('oimnetpp_r50', PLAIN_BN, {}),
    'oimnetpp_pn_oim_r50': ('oim_r50', PN, {}),
    'seqxt_r50': ('seqnet_r50', PN, DOIM),
    'seqxt_hea_convnext_b': ('seqxt_convnext_b', PN, dict(hea=True, smr=False)),
    'seqxt_smr_convnext_b': ('seqxt_convnext_b', PN, dict(hea=False, smr=True)),
    'seqxt_none_oim_convnext_b': ('seqxt_convnext_b', None, AS_OIM),
    'seqxt_none_doim_convnext_b': ('seqxt_convnext_b', None, DOIM),
    'seqxt_bn_oim_convnext_b': ('seqxt_convnext_b', BN, AS_OIM),
    'seqxt_bn_doim_convnext_b': ('seqxt_convnext_b', BN, DOIM),
    'seqxt_pn_oim_convnext_b': ('seqxt_convnext_b', PN, AS_OIM),
}


@pytest.fixture(scope='session')
def tiny_cuhk_sysu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('tiny') / 'CUHK-SYSU'
    write_cuhk_sysu(root)
    return root


@pytest.fixture
def on_sample(
    tiny_prw: Path, tiny_cuhk_sysu: Path, tiny_coco: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Config], Config]:
    """Let a config read the tiny folder in the layout of its dataset."""
    roots = {
        'mmps.PRWDataset': tiny_prw,
        'mmps.CUHKSYSUDataset': tiny_cuhk_sysu,
        'mmps.CocoPersonSearchDataset': tiny_coco,
    }
    monkeypatch.setenv('XDG_CACHE_HOME', str(tiny_cuhk_sysu.parent / 'cache'))

    def on_sample(config: Config) -> Config:
        root = str(roots[config.train_dataloader.dataset.type])
        for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
            loader.dataset.data_root = root
        return config

    return on_sample


def test_every_method_has_its_datasets() -> None:
    expected = {f'{method}_{data}.py' for method in METHODS for data in ('prw', 'cuhk-sysu')}
    assert set(NAMES) == expected | {'seqxt_convnext_b_uestc-ps.py', 'seqxt_sample.py'}
    folder = CONFIGS / 'ablations'
    assert {path.stem for path in folder.glob('*.py')} == {f'{name}_prw' for name in ABLATIONS}


@pytest.mark.parametrize('name', [name for name in NAMES if name != 'seqxt_sample.py'])
def test_the_memory_is_of_the_datasets_size(name: str) -> None:
    loss = Config.fromfile(CONFIGS / name).model.roi_head.loss_reid
    assert (loss.num_persons, loss.queue_size) == MEMORY[Path(name).stem.rpartition('_')[2]]


@pytest.mark.parametrize(
    ('method', 'data'),
    [*((method, 'cuhk-sysu') for method in METHODS), ('seqxt_convnext_b', 'uestc-ps')],
)
def test_a_method_is_the_same_on_every_dataset(method: str, data: str) -> None:
    prw, other = (Config.fromfile(CONFIGS / f'{method}_{name}.py') for name in ('prw', data))
    for name in ('num_persons', 'queue_size'):
        other.model.roi_head.loss_reid[name] = prw.model.roi_head.loss_reid[name]
    assert other.model == prw.model
    # SeqNet's authors train two epochs more on CUHK-SYSU.
    epochs = (18, 20) if (method, data) == ('seqnet_r50', 'cuhk-sysu') else (None, None)
    assert prw.train_cfg.max_epochs == (epochs[0] or other.train_cfg.max_epochs)
    assert other.train_cfg.max_epochs == (epochs[1] or prw.train_cfg.max_epochs)
    for name in ('optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'train_pipeline', 'scale'):
        assert other[name] == prw[name], name
    assert other.train_dataloader.batch_size == prw.train_dataloader.batch_size == 5
    same_data = Config.fromfile(CONFIGS / next(run for run in RUN if run.endswith(f'_{data}.py')))
    for split in ('train', 'val', 'test'):
        assert other[f'{split}_dataloader'] == same_data[f'{split}_dataloader']
    for split in ('val', 'test'):
        assert other[f'{split}_evaluator'] == same_data[f'{split}_evaluator']


@pytest.mark.parametrize('name', RUN)
def test_builds(name: str, on_sample: Callable[[Config], Config]) -> None:
    config = on_sample(Config.fromfile(CONFIGS / name))
    init_default_scope(config.default_scope)
    without_downloads(config.model)
    model = MODELS.build(config.model)
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == PARAMETERS.get(name.rpartition('_')[0], parameters)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        item = DATASETS.build(loader.dataset)[0]
        sample = item['data_samples']
        # The shorter side has the config's length: these frames are never long enough for the
        # longer one to bind.
        assert min(item['inputs'].shape[1:]) == min(config.scale)
        assert item['inputs'].shape[1:] == sample.img_shape
        assert len(sample.gt_instances.pids) == len(sample.gt_instances.bboxes) > 0
    for evaluator in (config.val_evaluator, config.test_evaluator):
        EVALUATOR.build(dict(type='Evaluator', metrics=evaluator))
    build_optim_wrapper(model, config.optim_wrapper)


@pytest.mark.parametrize('name', RUN)
def test_trains_and_evaluates(
    name: str,
    on_sample: Callable[[Config], Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The runner writes the config seven times; to lay it out nicely takes longer than all the rest.
    monkeypatch.setattr(Config, 'pretty_text', property(lambda self: ''))
    config = on_sample(scale_down(Config.fromfile(CONFIGS / name)))
    if name.endswith('_cuhk-sysu.py'):
        config.model.roi_head.loss_reid.num_persons = len(TRAIN)
    config.merge_from_dict(
        {
            'work_dir': str(tmp_path),
            'experiment_name': tmp_path.as_posix(),
            'train_cfg.max_epochs': 1,
            'train_cfg.val_interval': 1,
            'default_hooks.checkpoint.interval': 1,
            'default_hooks.checkpoint.save_optimizer': False,
            # The model of two steps is sure of nothing.
            **{f'model.{key}.score_thr': 0.0 for key in selections(config.model)},
            'visualizer.name': name,
            'randomness': dict(seed=0),
        }
    )
    runner = Runner.from_cfg(config)
    runner.train()

    scalars = runner.message_hub.log_scalars
    losses = [scalar.current() for key, scalar in scalars.items() if key.startswith('train/loss')]
    assert len(losses) > 5
    assert torch.isfinite(torch.tensor(losses)).all()
    assert runner.iter == 2
    for key in ('det/recall', 'det/AP', 'search/mAP', 'search/top1'):
        assert 0 <= scalars[f'val/{key}'].current() <= 1, key
    assert (tmp_path / 'epoch_1.pth').is_file()
    assert list(tmp_path.glob('best_search_mAP_epoch_1.pth'))

    dataset = runner.test_dataloader.dataset
    batch = runner.test_dataloader.collate_fn([dataset[i] for i in range(len(dataset))])
    samples = runner.model.test_step(batch)
    for sample in samples:
        found = sample.pred_instances
        assert found.bboxes.shape == (len(found), 4)
        torch.testing.assert_close(found.embeddings.norm(dim=1), torch.ones(len(found)))
    assert sum(len(sample.pred_instances) for sample in samples) > 0
    assert sum(len(sample.query_instances) for sample in samples) > 0


@pytest.mark.parametrize('name', ABLATIONS)
def test_an_ablation_differs_in_its_parts_alone(name: str) -> None:
    method, norm_cfg, loss = ABLATIONS[name]
    ablation = Config.fromfile(CONFIGS / 'ablations' / f'{name}_prw.py')
    expected = Config.fromfile(CONFIGS / f'{method}_prw.py')
    expected.model.roi_head.embedding_head.norm_cfg = norm_cfg
    expected.model.roi_head.loss_reid.update(loss)
    assert ablation.model == expected.model
    # SeqXt's schedule, also on SeqNet's backbone.
    trained = 'seqxt_convnext_b' if name.startswith('seqxt') else method
    schedule = Config.fromfile(CONFIGS / f'{trained}_prw.py')
    for part in ('train_cfg', 'optim_wrapper', 'param_scheduler', 'train_dataloader'):
        assert ablation[part] == schedule[part], part


@pytest.mark.parametrize('name', ABLATIONS)
def test_an_ablation_trains_and_predicts(name: str) -> None:
    _, norm_cfg, _ = ABLATIONS[name]
    model = build_model(f'ablations/{name}_prw').train()
    config = Config.fromfile(CONFIGS / 'ablations' / f'{name}_prw.py')
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    head = model.roi_head
    norms = {type(m).__name__ for m in head.embedding_head.modules()} & {
        'BatchNorm1d',
        'ProtoNorm1d',
    }
    # The rescaler of a norm-aware embedding is a BatchNorm in any case.
    rescaler = {'BatchNorm1d'} if name.startswith('seqxt') else set()
    kind = {'BN1d': {'BatchNorm1d'}, 'mmps.PN1d': {'ProtoNorm1d'}}
    assert norms == rescaler | (kind[norm_cfg['type']] if norm_cfg else set())

    losses = model.train_step(make_batch([0, 1], [2, -1]), wrapper)
    assert torch.isfinite(losses['loss'])
    head.loss_reid.commit()
    assert head.loss_reid.table.vectors.any(dim=1).all()
    # Now that the table is filled, the loss has something to say.
    losses = model.train_step(make_batch([0, 1], [2, -1], seed=1), wrapper)
    assert losses['loss_reid'] > 0
    with torch.no_grad():
        (sample,) = model.eval().test_step(make_batch([0, 1]))
    embeddings = sample.query_instances.embeddings
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2))
