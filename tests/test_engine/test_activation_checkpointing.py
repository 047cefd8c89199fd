"""Activation checkpointing (`with_cp`) runs stages twice, but a step counts once."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_models import build_model, make_batch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmps.models import DOIMLoss

STAGES = {
    'seqxt_convnext_b_prw': (
        'backbone',
        'roi_head__box_stage__stage',
        'roi_head__reid_stage__stage',
    ),
    # ProtoNorm for every BatchNorm of the checkpointed stage.
    'oimnetppp_r50_prw': ('backbone', 'roi_head__roi_stage__stage'),
}


def train(name: str, **overrides: Any) -> tuple[nn.Module, list[Tensor]]:
    """Two steps; the model, and its losses and gradients."""
    model = build_model(name, **overrides).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    results = []
    for step in range(2):
        torch.manual_seed(step)
        data = model.data_preprocessor(make_batch([0, 1, -1], [2, 0], seed=step), training=True)
        loss, _ = model.parse_losses(model.loss(data['inputs'], data['data_samples']))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.roi_head.loss_reid.commit()
        results += [loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]
    return model, results


@pytest.mark.parametrize('name', STAGES)
@pytest.mark.filterwarnings('ignore:torch.utils.checkpoint')  # MMDet leaves the kind to PyTorch
def test_whole_models(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, expected = train(name)
    runs = []
    forward = nn.Conv2d.forward

    def counted(self: nn.Conv2d, x: Tensor) -> Tensor:
        runs.append(self)
        return forward(self, x)

    monkeypatch.setattr(nn.Conv2d, 'forward', counted)
    recomputed, results = train(name, **{f'{stage}__with_cp': True for stage in STAGES[name]})
    for stage in (recomputed.backbone, recomputed.roi_head):
        convs = [conv for conv in stage.modules() if isinstance(conv, nn.Conv2d)]
        assert max(map(runs.count, convs)) == 2 * 2
    torch.testing.assert_close(results, expected, rtol=0, atol=0)

    # PyTorch's BatchNorm tracks a pass again that runs again; ProtoNorm and the memory do not.
    tracked = tuple(
        f'{module}.{buffer}'
        for module, layer in recomputed.named_modules()
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d))
        for buffer in ('running_mean', 'running_var', 'num_batches_tracked')
    )
    ours, theirs = recomputed.state_dict(), kept.state_dict()
    followed = [key for key in theirs if key not in tracked]
    assert any('loss_reid' in key for key in followed)
    assert any('running_mean' in key for key in followed)
    for key in followed:
        assert torch.equal(ours[key], theirs[key]), key


def steps(reentrant: bool | None) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Losses and gradients of three steps, and the memory; a checkpoint around the whole model."""
    torch.manual_seed(0)
    linear, loss = nn.Linear(6, 4), DOIMLoss(3, 5, dim=4)

    def run(x: Tensor, pids: Tensor) -> Tensor:
        return loss(F.normalize(linear(x)), pids)

    results = []
    for _ in range(3):
        x = torch.randn(8, 6, requires_grad=True)
        pids = torch.tensor([0, 1, -1, -1, 2, 0, -1, -2])
        once = reentrant is None
        value = run(x, pids) if once else checkpoint(run, x, pids, use_reentrant=reentrant)
        value.backward()
        loss.commit()
        results += [value.detach(), x.grad]
    return results, loss.state_dict()


@pytest.mark.parametrize('reentrant', [True, False])
def test_a_loss_within_a_checkpoint(reentrant: bool) -> None:
    expected = steps(None)
    assert expected[1]['queue.age'].max() > 0
    torch.testing.assert_close(steps(reentrant), expected, rtol=0, atol=0)
