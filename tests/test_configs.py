"""Every config under `configs/`: built as it is, and run as a scaled-down copy."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, EVALUATOR, init_default_scope
from mmengine.runner import Runner
from small_models import CONFIGS, scale_down, selections, without_downloads

from mmps.registry import MODELS

NAMES = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.parts
)
# SeqNet's code has 48,418,735; 16,400 of them regress boxes of background and are never read.
SEQNET = 48_402_335
RES5, CLASSIFIER, REGRESSOR = 14_964_736, 2 * 2049, 4 * 2049
# OIMNet++'s code has 48,522,369, with a second res5 and predictor, and the background's regressor.
OIM = 48_522_369 - RES5 - (CLASSIFIER + 2 * REGRESSOR) - REGRESSOR
PARAMETERS = {
    'nae_r50_prw.py': SEQNET - RES5 - CLASSIFIER - REGRESSOR,
    'oim_r50_prw.py': OIM,
    'oimnetpp_r50_prw.py': OIM,
    'oimnetppp_r50_prw.py': OIM,
    'seqnet_r50_prw.py': SEQNET,
}


def on_sample(config: Config, root: Path) -> Config:
    """Let all splits read the folder at ``root``."""
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = str(root)
    return config


def test_there_are_configs() -> None:
    assert {*PARAMETERS, 'seqxt_convnext_b_prw.py'} <= set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_builds(name: str, tiny_prw: Path) -> None:
    config = on_sample(Config.fromfile(CONFIGS / name), tiny_prw)
    init_default_scope(config.default_scope)
    without_downloads(config.model)
    model = MODELS.build(config.model)
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == PARAMETERS.get(name, parameters)
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


@pytest.mark.parametrize('name', NAMES)
def test_trains_and_evaluates(
    name: str, tiny_prw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The runner writes the config seven times; to lay it out nicely takes longer than all the rest.
    monkeypatch.setattr(Config, 'pretty_text', property(lambda self: ''))
    config = on_sample(scale_down(Config.fromfile(CONFIGS / name)), tiny_prw)
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
