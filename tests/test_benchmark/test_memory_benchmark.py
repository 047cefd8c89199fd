"""`benchmark_memory_loss.py`: what it compares with, and that it notices what differs."""

import json
import math
import re
import runpy
import sys
from typing import Any

import pytest
import torch
from small_models import CONFIGS

from mmps.benchmark import (
    difference,
    plain_memory,
    plain_update,
    seconds,
    waits_for_device,
)
from mmps.benchmark.memory_updates import Sizes, compare_updates, make_loss, make_step
from mmps.models import DOIMLoss, LOIMLoss, LookupTable, OIMLoss

TOOL = CONFIGS.parent / 'tools/analysis_tools/benchmark_memory_loss.py'
pytestmark = pytest.mark.skipif(not TOOL.is_file(), reason='mmps is not run from its repository')

X = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])
PIDS = torch.tensor([1, -1, 1])
IOUS = torch.tensor([0.8, 0.9, 0.95])


@pytest.fixture(scope='module')
def tool() -> dict[str, Any]:
    return runpy.run_path(str(TOOL))


def unit(angle: float) -> list[float]:
    return [math.cos(angle), math.sin(angle)]


def test_plain_updates_by_hand() -> None:
    """Of two persons at 0 and 60 degrees the second one gets rows at 90 and 53.13 degrees."""
    for loss, eta in ((OIMLoss(2, 2, dim=2), (0.5, 0.5)), (LOIMLoss(2, 2, dim=2), (0.2, 0.1))):
        loss.table.vectors.copy_(torch.tensor([unit(0), unit(math.pi / 3)]))
        memory = plain_memory(loss, torch.float64)
        memory.head = 1
        plain_update(loss, memory, X.double(), PIDS, IOUS.double())
        v = torch.tensor(unit(math.pi / 3), dtype=torch.float64)
        for share, row in zip(eta, (X[0], X[2]), strict=True):
            v = share * v + (1 - share) * row.double()
            v /= v.norm()
        torch.testing.assert_close(memory.vectors[1], v, atol=1e-7, rtol=0)
        torch.testing.assert_close(memory.vectors[0], torch.tensor([1.0, 0.0]).double())
        assert memory.queue.tolist() == [[0, 0], [1, 0]]
        assert memory.head == 0


def test_plain_doim_by_hand() -> None:
    loss = DOIMLoss(2, 2, dim=2, temperature=0.5, decay=0.9)
    loss.table.vectors.copy_(torch.tensor([unit(0), unit(math.pi / 3)]))
    loss.queue.vectors.copy_(torch.tensor([[0.8, 0.6], [0.0, -1.0]]))
    loss.queue.importance.copy_(torch.tensor([5.0, 1.3]))
    loss.queue.age.copy_(torch.tensor([0, 4]))
    memory = plain_memory(loss, torch.float64)
    plain_update(loss, memory, X[:2].double(), PIDS[:2], IOUS.double())
    # The row at 90 degrees: cosine 0 with the other person, sqrt(3) / 2 with her own prototype.
    w_old = 1 / (1 + math.exp(math.sqrt(3) / 2 / 0.5))
    v = w_old * torch.tensor(unit(math.pi / 3)) + (1 - w_old) * X[0]
    torch.testing.assert_close(memory.vectors[1].float(), v / v.norm(), atol=1e-6, rtol=0)
    # The candidate: 1 / 0.8, which beats 1.3 * 0.9 ** 5, the least important entry.
    assert memory.queue[1].tolist() == [1, 0]
    assert memory.importance.tolist() == pytest.approx([5, 1.25], abs=1e-5)
    assert memory.age.tolist() == [1, 0]


@pytest.mark.parametrize('where', ['table', 'queue', 'importance', 'age', 'head'])
def test_what_differs_is_noticed(where: str) -> None:
    name = 'OIM' if where == 'head' else 'DOIM'
    sizes = Sizes(persons=9, queue=5, dim=4, rows=8)
    loss = make_loss(name, sizes, torch.device('cpu'))
    memory = plain_memory(loss, torch.float64)
    # Its places are its own business.
    order = torch.tensor([3, 0, 4, 1, 2])
    if name == 'DOIM':
        for field in ('queue', 'importance', 'age'):
            setattr(memory, field, getattr(memory, field)[order])
    assert difference(loss, memory) == 0
    if where == 'head':
        memory.head += 1
    else:
        changed = memory.vectors if where == 'table' else getattr(memory, where)
        changed.view(len(changed), -1)[2, -1] += 1
    assert difference(loss, memory) == pytest.approx(1, abs=1e-6)


def test_entries_of_a_queue_that_round_alike() -> None:
    loss = DOIMLoss(2, 3, dim=2)
    angles = [0.5, -0.5, 0.5 + 1e-4]
    loss.queue.vectors.copy_(torch.tensor([unit(angle) for angle in angles]))
    loss.queue.importance.copy_(torch.tensor([3.0, 2.0, 1.0]))
    memory = plain_memory(loss, torch.float64)
    # Rounding alone, which turns the order of the first components around.
    memory.queue[1, 0] -= 1e-8
    memory.queue[0, 0] += 1e-8
    assert difference(loss, memory) == pytest.approx(1e-8)
    memory.queue[2] = memory.queue[0]  # in the place of another entry
    assert difference(loss, memory) == math.inf


def test_a_wrong_update_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = Sizes(persons=9, queue=5, dim=4, rows=8)
    monkeypatch.setattr(LookupTable, 'update', lambda *args: torch.zeros(4))
    with pytest.raises(ValueError, match='LOIM with 2 rows a person: the memory differs by'):
        compare_updates('LOIM', sizes, 2, torch.device('cpu'), repeats=1)


def test_steps_are_of_as_many_rows_a_person() -> None:
    sizes = Sizes(persons=50, queue=5, dim=4, rows=40)
    loss = make_loss('OIM', sizes, torch.device('cpu'))
    for rows in (1, 4):
        x, pids, ious = make_step(loss, sizes, rows)
        counts = pids[pids >= 0].unique(return_counts=True)[1]
        assert counts.tolist() == [rows] * (20 // rows)
        assert (pids == -1).sum() == 20
        torch.testing.assert_close(x.norm(dim=1), torch.ones(40))
        assert 0 <= ious.min() <= ious.max() <= 1


def test_where_the_host_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[str] = []
    monkeypatch.setattr(torch.cuda, 'set_sync_debug_mode', modes.append)

    def fails(message: str) -> None:
        raise RuntimeError(message)

    def call(message: str) -> None:
        seconds(lambda: fails(message), torch.device('cpu'))

    where = waits_for_device(lambda: call('called a synchronizing CUDA operation'))
    assert re.fullmatch(r'benchmark/timing\.py:\d+: call\(\)', where)
    assert waits_for_device(lambda: None) == ''
    with pytest.raises(RuntimeError, match='out of memory'):
        waits_for_device(lambda: call('CUDA: out of memory'))
    assert modes == ['error', 'default'] * 3


def run_tool(tool: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, 'argv', ['benchmark_memory_loss.py', *map(str, arguments)])
    tool['main']()


SMALL = ('--rows', 12, '--persons', 20, '--queue', 9, '--dim', 8, '--repeats', 1)


def test_report(
    tool: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_tool(tool, monkeypatch, *SMALL, '--device', 'cpu', '--rows-per-person', 2, '--json')
    report = json.loads(capsys.readouterr().out)
    assert [row['loss'] for row in report['updates']] == ['OIM', 'LOIM', 'DOIM']
    for row in report['updates']:
        assert row['difference'] < 1e-5
        assert row['ratio'] == pytest.approx(row['plain_ms'] / row['ours_ms'])
        assert row['waits'] is None
    for norms in report['norms'].values():
        assert norms['ratio'] == pytest.approx(norms['proto_norm'] / norms['batch_norm'])
    assert report['machine']['threads'] == torch.get_num_threads()

    run_tool(tool, monkeypatch, *SMALL, '--device', 'cpu')
    printed = capsys.readouterr().out
    assert 'Memory update, 12 rows (50% labelled), L = 20, Q = 9, D = 8' in printed
    assert 'load average: ' in printed


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--labelled', 0], '--labelled must be in (0, 1], not 0.0'),
        (['--repeats', 0], '--repeats must be at least 1, not 0'),
        pytest.param(
            ['--device', 'cuda'],
            'cuda: PyTorch finds no GPU',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU'),
        ),
        (['--device', 'gpu'], "'gpu' is no device: cpu, cuda or cuda:1"),
        (['--persons', 3], '--rows-per-person 1: 3 persons do not give 320 labelled rows'),
    ],
)
def test_senseless_arguments(
    tool: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[object],
    message: str,
) -> None:
    with pytest.raises(SystemExit):
        run_tool(tool, monkeypatch, *arguments)
    assert message in capsys.readouterr().err
