"""Renaming the tensors of published checkpoints."""

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_models import CONFIGS
from torch import Tensor

from mmps.converters import (
    Converted,
    Rule,
    Unread,
    check_names,
    oimnet_from_mmps,
    oimnet_to_mmps,
    seqnet_from_mmps,
    seqnet_to_mmps,
)
from mmps.converters.rules import from_mmps, to_mmps
from mmps.registry import MODELS

TOOL = CONFIGS.parent / 'tools' / 'model_converters' / 'convert_checkpoint.py'
RULES = (
    Rule('body.', 'backbone.'),
    Rule('head.conv.0.0.', 'rpn.'),
    Rule('head.conv.', 'rpn.'),
    Rule('cls.', 'fc_cls.', 'swap'),
    Rule('reg.', 'fc_reg.', 'person'),
)


@pytest.fixture
def theirs() -> dict[str, Tensor]:
    return {
        'body.conv.weight': torch.rand(3, 2),
        'head.conv.weight': torch.rand(2, 2),
        'cls.weight': torch.tensor([[1.0, 2], [3, 4]]),
        'cls.bias': torch.tensor([5.0, 6]),
        'reg.weight': torch.arange(16.0).reshape(8, 2),
        'reg.num_batches_tracked': torch.tensor(3),
    }


def test_rows(theirs: dict[str, Tensor]) -> None:
    converted = to_mmps(theirs, RULES)
    ours = converted.state_dict
    assert ours.keys() == {
        *('backbone.conv.weight', 'rpn.weight', 'fc_cls.weight', 'fc_cls.bias'),
        *('fc_reg.weight', 'fc_reg.num_batches_tracked'),
    }
    assert torch.equal(ours['backbone.conv.weight'], theirs['body.conv.weight'])
    assert ours['fc_cls.weight'].tolist() == [[3, 4], [1, 2]]
    assert ours['fc_cls.bias'].tolist() == [6, 5]
    assert torch.equal(ours['fc_reg.weight'], theirs['reg.weight'][4:])
    assert ours['fc_reg.num_batches_tracked'] == 3
    assert converted.unread == {'reg.weight': 8}


def test_round_trip(theirs: dict[str, Tensor]) -> None:
    back = from_mmps(to_mmps(theirs, RULES).state_dict, RULES)
    theirs['reg.weight'][:4] = 0
    assert back.keys() == theirs.keys()
    for key, value in theirs.items():
        assert torch.equal(back[key], value), key


def test_two_spellings_of_a_key(theirs: dict[str, Tensor]) -> None:
    plain = to_mmps(theirs, RULES).state_dict
    nested = dict(theirs)
    nested['head.conv.0.0.weight'] = nested.pop('head.conv.weight')
    converted = to_mmps(nested, RULES).state_dict
    assert converted.keys() == plain.keys()
    assert torch.equal(converted['rpn.weight'], plain['rpn.weight'])
    # The last spelling of the rules is the one that is written.
    assert 'head.conv.weight' in from_mmps(converted, RULES)
    nested['head.conv.weight'] = theirs['head.conv.weight']
    with pytest.raises(ValueError, match=r'head\.conv\.weight: another key .* is also rpn\.weight'):
        to_mmps(nested, RULES)


def test_converted_tensors_are_copies(theirs: dict[str, Tensor]) -> None:
    ours = to_mmps(theirs, RULES).state_dict
    ours['backbone.conv.weight'].zero_()
    assert theirs['body.conv.weight'].any()
    back = from_mmps(ours, RULES)
    back['body.conv.weight'].fill_(1)
    assert not ours['backbone.conv.weight'].any()


def test_unread_keys_are_left_out_and_zero_on_the_way_back(theirs: dict[str, Tensor]) -> None:
    unread = (Unread('body.old.', like='body.'), Unread('spare.', like='reg.'))
    with_unread = theirs | {'body.old.conv.weight': torch.rand(3, 2), 'spare.weight': torch.rand(5)}
    converted = to_mmps(with_unread, RULES, unread)
    assert converted.state_dict.keys() == to_mmps(theirs, RULES).state_dict.keys()
    assert converted.unread == {'reg.weight': 8, 'body.old.conv.weight': 6, 'spare.weight': 5}
    back = from_mmps(converted.state_dict, RULES, unread)
    assert torch.equal(back['body.conv.weight'], theirs['body.conv.weight'])
    assert back['body.old.conv.weight'].tolist() == [[0, 0]] * 3
    assert torch.equal(back['spare.weight'], torch.zeros(8, 2))
    assert back.keys() == theirs.keys() | {
        *('body.old.conv.weight', 'spare.weight', 'spare.num_batches_tracked')
    }


def test_unknown_keys_are_named(theirs: dict[str, Tensor]) -> None:
    with pytest.raises(KeyError, match=r"published checkpoint has the key 'tail\.weight'"):
        to_mmps(theirs | {'tail.weight': torch.zeros(1)}, RULES)
    with pytest.raises(KeyError, match=r"checkpoint of mmps has the key 'tail\.weight'"):
        from_mmps({'tail.weight': torch.zeros(1)}, RULES)


def test_names_are_those_of_the_model() -> None:
    state_dict = {'a': torch.zeros(1), 'b': torch.zeros(1)}
    check_names(state_dict, ['b', 'a'])
    with pytest.raises(KeyError, match='nothing is there for c, d of the model'):
        check_names(state_dict, ['a', 'b', 'c', 'd'])
    with pytest.raises(KeyError, match='the model has no b'):
        check_names(state_dict, ['a'])


# --------------------------------------------------------------------- methods


def checkpoint_of(name: str) -> dict[str, Tensor]:
    """A checkpoint of ours with every name of the model and two numbers in each tensor."""
    init_default_scope('mmdet')
    model = MODELS.build(Config.fromfile(CONFIGS / f'{name}.py').model)
    scalar = [name for name, value in model.state_dict().items() if value.dim() == 0]
    state_dict = {name: torch.rand(2, 1) for name in model.state_dict()}
    state_dict |= {name: torch.tensor(7) for name in scalar}
    state_dict['roi_head.loss_reid.queue.head'] = torch.tensor(0)
    return state_dict


@pytest.fixture(scope='module')
def seqnet() -> dict[str, Tensor]:
    return checkpoint_of('seqnet_r50_prw')


@pytest.mark.parametrize('name', ['oim_r50_prw', 'oimnetpp_r50_prw', 'oimnetppp_r50_prw'])
def test_oimnet_round_trip(name: str) -> None:
    ours = checkpoint_of(name)
    published = oimnet_from_mmps(ours)
    converted = oimnet_to_mmps(published)
    assert converted.state_dict.keys() == ours.keys()
    for key, value in ours.items():
        assert torch.equal(converted.state_dict[key], value), key
    second = {
        key
        for key in published
        if key.startswith(('roi_heads.box_head.', 'roi_heads.faster_rcnn_predictor.'))
    }
    assert len(second) == 60 + 4
    assert not any(published[key].any() for key in second)
    background = {f'roi_heads.box_predictor.bbox_pred.{end}' for end in ('weight', 'bias')}
    assert converted.unread.keys() == second | background
    assert published['roi_heads.box_predictor.bbox_pred.bias'][:2].tolist() == [[0], [0]]


def test_seqnet_round_trip(seqnet: dict[str, Tensor]) -> None:
    published = seqnet_from_mmps(seqnet)
    assert len(published) == len(seqnet) - 1
    assert published['roi_heads.box_predictor.bbox_pred.1.running_var'].tolist()[:2] == [[0], [0]]
    assert 'rpn.head.conv.weight' in published
    converted = seqnet_to_mmps(published)
    assert converted.state_dict.keys() == seqnet.keys()
    for name, value in seqnet.items():
        assert torch.equal(converted.state_dict[name], value), name
    assert sorted(converted.unread) == sorted(
        key
        for key in published
        if '.bbox_pred.' in key and key.startswith('roi_heads') and 'tracked' not in key
    )


@pytest.mark.parametrize(
    ('name', 'to_published', 'to_ours', 'total'),
    [
        ('seqnet_r50_prw', seqnet_from_mmps, seqnet_to_mmps, 48_418_735),
        ('oim_r50_prw', oimnet_from_mmps, oimnet_to_mmps, 48_522_369),
        ('oimnetpp_r50_prw', oimnet_from_mmps, oimnet_to_mmps, 48_522_369),
        ('oimnetppp_r50_prw', oimnet_from_mmps, oimnet_to_mmps, 48_522_369),
    ],
)
def test_parameters_of_the_authors_are_accounted_for(
    name: str,
    to_published: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    to_ours: Callable[[dict[str, Tensor]], Converted],
    total: int,
) -> None:
    """Their models have as many as ours and what they never read: no more, no less."""
    init_default_scope('mmdet')
    with torch.device('meta'):
        model = MODELS.build(Config.fromfile(CONFIGS / f'{name}.py').model)
    state_dict = {key: torch.empty_like(v, device='cpu') for key, v in model.state_dict().items()}
    published = to_published(state_dict)
    buffers = ('running_mean', 'running_var', 'num_batches_tracked', '.lut', '.cq')
    theirs = {key: v.numel() for key, v in published.items() if not key.endswith(buffers)}
    assert sum(theirs.values()) == total
    unread = to_ours(published).unread
    never_read = sum(unread[key] for key in theirs.keys() & unread.keys())
    assert sum(p.numel() for p in model.parameters()) + never_read == total


def test_tool(
    seqnet: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published = seqnet_from_mmps(seqnet)
    source, target, again = (tmp_path / name for name in ('theirs.pth', 'ours.pth', 'back.pth'))
    torch.save({'model': published, 'epoch': 3}, source)
    run = subprocess.run(
        [sys.executable, TOOL, 'seqnet', source, target],
        capture_output=True,
        text=True,
        env=os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
    )
    assert run.returncode == 0, run.stderr
    assert '2 values of roi_heads.faster_rcnn_predictor.bbox_pred.weight' in run.stdout
    ours = torch.load(target)['state_dict']
    assert ours.keys() == seqnet.keys()
    assert all(torch.equal(ours[name], seqnet[name]) for name in seqnet)

    def tool(*arguments: object) -> None:
        monkeypatch.setattr(sys, 'argv', [str(TOOL), 'seqnet', *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')

    tool(target, again, '--back')
    back = torch.load(again)['model']
    assert back.keys() == published.keys()
    assert all(torch.equal(back[name], published[name]) for name in published)
    again.unlink()

    with pytest.raises(SystemExit, match=r'nothing\.pth: no such checkpoint'):
        tool(tmp_path / 'nothing.pth', again)
    incomplete = {key: value for key, value in published.items() if 'feat_res5.0.w' not in key}
    torch.save({'model': incomplete}, source)
    name = r'roi_head\.embedding_head\.projectors\.1\.0\.weight'
    with pytest.raises(SystemExit, match=rf'theirs\.pth: nothing is there for {name} of'):
        tool(source, again)
    torch.save({'state_dict': {k: v for k, v in ours.items() if 'queue.head' not in k}}, target)
    with pytest.raises(SystemExit, match=r'ours\.pth: nothing is there for .*queue\.head'):
        tool(target, again, '--back')
    assert not again.exists()
