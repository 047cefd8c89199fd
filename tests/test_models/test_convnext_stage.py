"""The parts of a ConvNeXt, beside mmpretrain's whole one."""

import pytest
import torch
from mmengine.config import Config
from mmpretrain.models.backbones import ConvNeXt
from small_models import CONFIGS

from mmps.models import ConvNeXtStage

ARCH = dict(depths=[1, 2, 1, 2], channels=[4, 8, 12, 16])


@pytest.fixture(scope='module')
def whole() -> ConvNeXt:
    torch.manual_seed(0)
    # Layer scales of 1, else blocks hardly count; what is published pools before its last norm.
    model = ConvNeXt(ARCH, out_indices=[0, 1, 2, 3], layer_scale_init_value=1.0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.eval()  # which returns nothing in mmpretrain
    return model


@pytest.mark.parametrize('stage', [1, 3])
def test_stage_equals_the_stage_of_the_whole_backbone(whole: ConvNeXt, stage: int) -> None:
    part = ConvNeXtStage(ARCH, stage).eval()
    loaded = part.load_state_dict(whole.state_dict(), strict=False)
    assert loaded.missing_keys == []
    images = torch.randn(2, 3, 64, 96)
    whole.gap_before_final_norm = False
    with torch.no_grad():
        whole.out_indices = [stage]
        (expected,) = whole(images)
        x = images
        for i in range(stage):
            x = whole.stages[i](whole.downsample_layers[i](x))
        torch.testing.assert_close(part(x), expected)


def test_backbone_of_the_config_is_the_whole_one_without_its_last_stage(whole: ConvNeXt) -> None:
    config = dict(Config.fromfile(CONFIGS / 'seqxt_convnext_b_prw.py').model.backbone)
    assert config.pop('type') == 'mmpretrain.ConvNeXt'
    config.pop('init_cfg')
    published = ConvNeXt.arch_settings['base']
    assert config['arch'] == {key: published[key][:3] for key in ('depths', 'channels')}
    config['arch'] = {key: values[:3] for key, values in ARCH.items()}
    cut = ConvNeXt(**config)
    cut.eval()
    # The norm of the output is the only one that a classifier's checkpoint does not have.
    classifier = {k: v for k, v in whole.state_dict().items() if not k.startswith('norm')}
    assert set(cut.load_state_dict(classifier, strict=False).missing_keys) == {
        'norm2.weight',
        'norm2.bias',
    }
    cut.load_state_dict(whole.state_dict(), strict=False)
    images = torch.randn(1, 3, 64, 96)
    whole.gap_before_final_norm, whole.out_indices = False, [2]
    with torch.no_grad():
        torch.testing.assert_close(cut(images), whole(images))


def test_stochastic_depth_is_that_of_the_last_blocks() -> None:
    rate = 0.3
    part = ConvNeXtStage(ARCH, 3, drop_path_rate=rate)
    full = ConvNeXt(ARCH, drop_path_rate=rate)
    assert [b.drop_path.drop_prob for b in part.stages['3']] == [
        b.drop_path.drop_prob for b in full.stages[3]
    ]
    assert part.stages['3'][-1].drop_path.drop_prob == pytest.approx(rate)


@pytest.mark.parametrize('stage', [0, 4])
def test_stage_must_exist(stage: int) -> None:
    with pytest.raises(ValueError, match=f'stage={stage}: .* has stages 1 to 3'):
        ConvNeXtStage('tiny', stage)
