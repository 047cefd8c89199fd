"""What runs of several processes can be set to: SyncBatchNorm, sharded weights (FSDP)."""

from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.runner import Runner
from small_models import build_model
from tiny_run import TOGETHER, in_processes, make_runner
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from mmps.models import DOIMLoss, ProtoNorm1d, prototype_labels

PN = dict(type='mmps.PN1d', _delete_=True)


def test_a_config_turns_batch_norms_into_synchronised_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runner, '_log_env', lambda self, env_cfg: None)
    # They do not run on a CPU, which it checks as soon as it wraps the model.
    monkeypatch.setattr(DistributedDataParallel, '_passing_sync_batchnorm_handle', print)
    model = build_model('seqnet_r50_prw', roi_head__embedding_head__norm_cfg=PN).train()
    kinds = Counter(map(type, model.modules()))
    batch_norms = kinds[nn.BatchNorm1d] + kinds[nn.BatchNorm2d]
    assert kinds[nn.BatchNorm1d] > 1  # the rescaler's and the regressor's
    assert kinds[nn.BatchNorm2d] > 20

    names = {name for name, _ in model.named_parameters()}

    def build() -> None:
        settings = {**TOGETHER, 'cfg': dict(TOGETHER['cfg'], sync_bn='torch')}
        runner = make_runner(tmp_path / 'run', checkpoint={}, model=model, **settings)
        converted = Counter(map(type, runner.model.module.modules()))
        assert converted[nn.SyncBatchNorm] == batch_norms
        assert not converted.keys() & {nn.BatchNorm1d, nn.BatchNorm2d}
        assert converted[ProtoNorm1d] == 2
        assert {name for name, _ in runner.model.module.named_parameters()} == names

    assert in_processes(build, tmp_path) == [0, 0]


class Embedder(nn.Module):
    """Linear -> ProtoNorm -> DOIM."""

    def __init__(self, *, recompute: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4), ProtoNorm1d(4))
        self.layers[3].weight = nn.Parameter(torch.rand(4) + 0.5)
        self.layers[3].bias = nn.Parameter(torch.rand(4))
        self.loss = DOIMLoss(5, 6, dim=4)
        self.recompute = recompute

    def forward(self, x: Tensor, pids: Tensor) -> Tensor:
        with prototype_labels(self, pids):
            if self.recompute:
                rows = checkpoint(self.layers, x, use_reentrant=False)
            else:
                rows = self.layers(x)
        return self.loss(F.normalize(rows), pids)


def steps(model: Embedder, *, first: int, end: int) -> dict[str, Tensor]:
    """What is left of three steps with some of the rows of each."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in range(3):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(12, 6, generator=generator)
        pids = torch.randint(-2, 5, (12,), generator=generator)
        optimizer.zero_grad()
        model(x[first:end], pids[first:end]).backward()
        optimizer.step()
    model.loss.commit()
    return {
        name: value.full_tensor() if isinstance(value, DTensor) else value
        for name, value in model.state_dict().items()
    }


def make_embedder(*, recompute: bool = False) -> Embedder:
    torch.manual_seed(0)
    return Embedder(recompute=recompute)


@pytest.mark.parametrize('recompute', [False, True])
def test_sharded_weights_leave_the_memory_whole(tmp_path: Path, recompute: bool) -> None:
    """FSDP, of PyTorch's second kind, as the first (MMEngine's) does not run on a CPU."""
    expected = steps(make_embedder(), first=0, end=12)
    assert expected['loss.queue.age'].max() > 0

    def train() -> None:
        rank = torch.distributed.get_rank()
        model = make_embedder(recompute=recompute)
        fully_shard(model, mesh=init_device_mesh('cpu', (2,)))
        assert all(isinstance(parameter, DTensor) for parameter in model.parameters())
        assert not any(isinstance(buffer, DTensor) for buffer in model.buffers())
        found = steps(model, first=5 * rank, end=(5, 12)[rank])
        assert found.keys() == expected.keys()
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-5, msg=name)

    assert in_processes(train, tmp_path) == [0, 0]
