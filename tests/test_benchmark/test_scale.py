"""Growth: counted traffic, peaks of memory, and what is continued from them."""

import json
import mmap
from pathlib import Path

import numpy as np
import pytest

from mmps.benchmark import grown, measure_step, peak_bytes
from mmps.benchmark.scale import continued, power
from mmps.models import OIMLoss

MIB = 2**20


@pytest.fixture(autouse=True)
def _on_linux() -> None:
    if not Path('/proc/self/clear_refs').is_file():
        pytest.skip('peaks of memory are read from /proc')


def test_power_and_continuation() -> None:
    assert power([1, 10, 100], [3, 300, 30000]) == pytest.approx(2)
    assert power([1, 10, 100], [5, 5, 5]) == pytest.approx(0)
    assert continued([100, 1, 10], [307, 10, 37], 1000) == pytest.approx(3007)
    assert 4 < continued([1, 10], [5, 4], 1000) < 5  # noise, no shrinking
    with pytest.raises(ValueError, match=r'at least two sizes, not \[4\]'):
        power([4, 4], [1, 2])


def test_bytes_are_continued_from_the_two_largest() -> None:
    # 17 beside the line in the smallest, as malloc has it.
    rows = [
        dict(persons=160, step_bytes=464, loss_seconds=160),
        dict(persons=5, step_bytes=45, loss_seconds=4),
        dict(persons=80, step_bytes=239, loss_seconds=80),
    ]
    *measured, end = grown(rows, 'persons', 10_000, ['step_bytes', 'loss_seconds'])
    assert [row['persons'] for row in measured] == [5, 80, 160]
    assert end['step_bytes'] == pytest.approx(464 + 9840 * 225 / 80)
    values = [row['loss_seconds'] for row in measured]
    assert end['loss_seconds'] == continued([5, 80, 160], values, 10_000) < 9500  # of all
    assert end['growth']['step_bytes'] == power([5, 80, 160], [45, 239, 464])


def test_peak_of_memory() -> None:
    def work() -> None:
        for size in (40, 24):  # one after the other, and from the kernel: malloc may keep memory
            block = mmap.mmap(-1, size * MIB)
            np.frombuffer(block, np.uint8).fill(1)
            block.close()

    assert 38 < peak_bytes(work) / MIB < 44  # the kernel counts in batches of pages


def test_a_step_needs_the_similarities_of_its_rows() -> None:
    persons, rows, dim = 40_000, 128, 8
    costs = measure_step(OIMLoss, persons=persons, rows=rows, queue=4, dim=dim, repeats=1)
    assert costs['table_bytes'] == 4 * persons * dim
    similarities = 4 * persons * rows / 2  # of the labelled rows alone, if it can be
    assert similarities < costs['step_bytes'] < 12 * similarities
    assert costs['loss_seconds'] > 0
    assert costs['update_seconds'] > 0


def test_tool(run_tool, capsys) -> None:
    def run(*arguments: str) -> str:
        options = (
            '--losses oim --persons 200 400 --rows 8 --update-rows 4 8 --queue 4 --dim 4 '
            '--detections 700 1400 --queries 5 --repeats 1 --at-persons 1000000'
        )
        run_tool('analysis_tools/benchmark_scale.py', *options.split(), *arguments)
        return capsys.readouterr().out

    report = json.loads(run('--processes', '2', '--json'))
    steps = report['steps']['oim']['by_persons']
    assert [row['table_bytes'] for row in steps] == pytest.approx([3200, 6400, 16e6])
    assert steps[-1]['growth']['table_bytes'] == pytest.approx(1)
    assert all('growth' not in row for row in steps[:-1])
    counted, end = report['traffic']['oim'][:-1], report['traffic']['oim'][-1]
    for kind in ('whole', 'sharded'):
        growth = end['growth'][kind]
        for row in counted:
            rows = 2 * row['rows']
            assert row[kind] >= rows * 4 * 4  # their embeddings
            line = growth['a_row'] * rows + growth['a_process'] * 2 + growth['fixed']
            assert row[kind] == pytest.approx(line)
        assert end[kind] == pytest.approx(1000 * 8 * growth['a_row'], rel=0.1)
    assert counted[0]['sharded'] > counted[0]['whole']
    assert report['searches'][0]['given_bytes'] > 700 * 4 * 4

    lines = run('--processes', '1').splitlines()
    (table,) = [line for line in lines if line.startswith('│ 1,000,000 ')]
    assert 'continued' in table
    assert sum(line.startswith('│') and 'measured' in line for line in lines) == 6
