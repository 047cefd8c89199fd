"""Trainings that are done to be compared: one `tools/train.py` each, and what they end with."""

import copy
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmps.files import whole_file
from mmps.visualization import read_scalars

Figures = Mapping[str, float]


def evaluated_at_its_end(config: Config, *, seed: int) -> Config:
    """A copy of a config for a run with a seed that evaluates once and keeps no checkpoints."""
    config = copy.deepcopy(config)
    config.randomness = dict(seed=seed)
    config.train_cfg.val_interval = config.train_cfg.max_epochs
    config.default_hooks.checkpoint.update(interval=-1, save_last=False, save_best=None)
    return config


def train(config: Config, folder: Path, *, script: Path, processes: int = 1) -> dict[str, float]:
    """Train in processes of its own.

    Args:
        config: of the run; a copy stays in the folder.
        folder: for logs, and ``output.txt`` with whatever the training prints.
        script: ``tools/train.py``.
        processes: that train together, on this machine.

    Returns:
        The metrics, and the last losses and figures of the memory that were logged.

    Raises:
        RuntimeError: training failed; the message names its output.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, output = folder / 'config.py', folder / 'output.txt'
    config.dump(path)
    command: list[str | Path] = [sys.executable, script, path, '--work-dir', folder]
    if processes > 1:
        # Standalone: on a port that is free.
        launcher = ['-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={processes}']
        command[1:1] = launcher
        command += ['--launcher', 'pytorch']
    known = set(folder.glob('*/vis_data/scalars.json'))
    with output.open('w') as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        raise RuntimeError(f'training failed with exit code {code}; see {output}')
    (log,) = set(folder.glob('*/vis_data/scalars.json')) - known
    scalars = read_scalars(log)
    return {
        name: values[-1]
        for name, (_, values) in (scalars.train | scalars.val).items()
        if name in scalars.val or name.startswith(('memory_', 'loss'))
    }


def result_of(
    config: Config,
    folder: Path,
    *,
    settings: Mapping[str, Any],
    script: Path,
    processes: int = 1,
) -> tuple[dict[str, float], str]:
    """What a run ends with; it is trained now unless its folder has that.

    Args:
        config: as for :func:`train`, likewise the folder, the script and the processes.
        folder: for ``result.json``, too.
        settings: that a run must have been done with to count, as JSON can hold them.
        script: ``tools/train.py``.
        processes: that train together.

    Returns:
        The figures of :func:`train`, and in words how it went.

    Raises:
        RuntimeError: training failed; the message names its output.
        ValueError: it was done with other settings.
    """
    figures = read_result(folder / 'result.json', settings)
    if figures is not None:
        return figures, 'was done before'
    begin = time.monotonic()
    figures = train(config, folder, script=script, processes=processes)
    write_json({'settings': settings, 'figures': figures}, folder / 'result.json')
    return figures, f'{time.monotonic() - begin:.0f} s'


def read_result(path: Path, settings: Mapping[str, Any]) -> dict[str, float] | None:
    """The figures of a finished run, None if it is not finished.

    Raises:
        ValueError: it was done with other settings.
    """
    if not path.is_file():
        return None
    result = json.loads(path.read_text())
    # As JSON has them: tuples are lists.
    wanted = json.loads(json.dumps(settings))
    different = [name for name in wanted if result['settings'].get(name) != wanted[name]]
    if different:
        raise ValueError(
            f'{path} is of a run with another {", ".join(different)} '
            f'({", ".join(repr(result["settings"].get(name)) for name in different)}); '
            'name another --work-dir, or remove it'
        )
    return result['figures']


def write_json(value: Any, path: Path) -> None:
    """Write a file that is never half written."""
    with whole_file(path) as file:
        file.write((json.dumps(value, indent=2) + '\n').encode())


def mean_and_spread(runs: Sequence[Figures]) -> dict[str, dict[str, float]]:
    """Of every figure: ``mean``, ``runs``, and ``std``, of the sample, where there are two runs."""
    summary = {}
    for name in runs[0]:
        values = [run[name] for run in runs if name in run]
        summary[name] = {'mean': statistics.fmean(values), 'runs': len(values)}
        if len(values) > 1:
            summary[name]['std'] = statistics.stdev(values)
    return summary


def mean_text(figure: Figures, *, scale: int, digits: int) -> str:
    """A figure of :func:`mean_and_spread` in words: mean ± standard deviation, where there is one.

    Args:
        figure: its ``mean`` and ``std``.
        scale: what both are multiplied by.
        digits: after the point.
    """
    text = f'{scale * figure["mean"]:.{digits}f}'
    return f'{text} ± {scale * figure["std"]:.{digits}f}' if 'std' in figure else text
