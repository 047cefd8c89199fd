"""`mmps doctor`."""

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import typer

from .options import JsonOption
from .output import show, show_json

if TYPE_CHECKING:
    from packaging.requirements import Requirement

EXTRAS = {
    'video': 'exact times of videos, and less decoding',
    'web': 'mmps serve',
    'milvus': 'galleries on a Milvus server',
    'ray': 'indexing on many machines',
}
GIB = 2**30
FREE_DISK = 5 * GIB
"""Below this, checkpoints of a training run soon have no place."""
SHARED_MEMORY = GIB
"""Below this, data loaders with workers die; a container has 64 MiB unless told otherwise."""


class Verdict(str, Enum):
    """How it is: as it should be, could be better, or a reason why mmps does not work."""

    OK = 'ok'
    HINT = 'hint'
    BROKEN = 'broken'


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what it is.
        verdict: how it is.
        state: what was found.
        remedy: what to type or do; '' where all is well.
    """

    name: str
    verdict: Verdict
    state: str
    remedy: str = ''


def doctor(json: JsonOption = False) -> None:
    """Say what is wrong with this installation, and what to type.

    Ends with exit code 1 if something is broken that mmps needs; hints do not count.

    Example: [bold]mmps doctor[/bold]
    """
    findings: list[Finding] = []
    for look in (_python, _pytorch, _stack, _components, _devices, _dependencies, _video, _space):
        findings += look()
    broken = [finding for finding in findings if finding.verdict is Verdict.BROKEN]
    if json:
        show_json({'ok': not broken, 'findings': findings})
    else:
        for finding in findings:
            mark = {'ok': '✓', 'hint': '!', 'broken': '✗'}[finding.verdict.value]
            show(f'{mark} {finding.name}: {finding.state}')
            if finding.remedy:
                show(f'    {finding.remedy}')
        show(f'\n{len(broken)} broken' if broken else '\nmmps has all it needs.')
    if broken:
        raise typer.Exit(1)


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    good = sys.version_info >= (3, 10)
    yield Finding(
        'Python',
        Verdict.OK if good else Verdict.BROKEN,
        f'{version}, {os.cpu_count()} cores',
        '' if good else 'mmps needs Python 3.10 or later',
    )


def _pytorch() -> Iterator[Finding]:
    try:
        import torch

        torch.zeros(1).numpy()  # fails where NumPy is newer than this PyTorch knows
    except Exception as error:  # of a broken installation, anything
        yield _broken('PyTorch', error, "pip install 'torch>=2.1' 'torchvision>=0.16'")
        return
    yield Finding('PyTorch', Verdict.OK, torch.__version__)


def _stack() -> Iterator[Finding]:
    from mmps.compat import STACK, check_stack

    for package, bounds in STACK.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            try:
                check_stack({package: bounds})
            except Exception as error:  # of a broken installation, anything
                yield _broken(package, error, f"pip install '{bounds.requirement(package)}'")
                continue
        newer = [str(w.message) for w in caught if 'is newer' in str(w.message)]
        version = importlib.import_module(package).__version__
        yield Finding(package, Verdict.HINT if newer else Verdict.OK, version, *newer[:1])


def _components() -> Iterator[Finding]:
    import mmps

    try:
        mmps.load_components()
    except Exception as error:  # of a broken installation, anything
        yield _broken('mmps', error, 'mend what is broken above; if nothing is, install mmps again')
        return
    folder = os.path.dirname(mmps.__file__)
    yield Finding('mmps', Verdict.OK, f'{mmps.__version__} in {folder}')


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except Exception:  # reported already
        return
    devices = ['cpu']
    if torch.cuda.is_available():
        devices.append('cuda')
        names = ', '.join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        yield Finding('GPU', Verdict.OK, f'{names}; CUDA {torch.version.cuda}')
    elif shutil.which('nvidia-smi'):
        state = 'there is a driver, but PyTorch sees no GPU'
        if torch.version.cuda is None:
            remedy = 'this PyTorch is built for CPUs: install the one for CUDA (pytorch.org)'
        else:
            remedy = f'is the driver too old for CUDA {torch.version.cuda}? See: nvidia-smi'
        yield Finding('GPU', Verdict.HINT, state, remedy)
    else:
        yield Finding('GPU', Verdict.OK, 'none; all works on the CPU, but slowly')
    for device in devices:
        try:
            _try_ops(device)
        except Exception as error:  # of a broken installation, anything
            yield _broken(
                f"mmcv's ops on {device}", error, 'build mmcv anew for this PyTorch and device'
            )
        else:
            yield Finding(f"mmcv's ops on {device}", Verdict.OK, 'RoIAlign and NMS work')


def _try_ops(device: str) -> None:
    import torch
    from mmcv.ops import nms, roi_align

    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 3]], device=device)
    kept = nms(boxes, torch.tensor([0.5, 0.9], device=device), 0.5)[1]
    rois = torch.cat([boxes.new_zeros(2, 1), boxes], dim=1)
    pooled = roi_align(torch.ones(1, 1, 8, 8, device=device), rois, 2)
    if kept.tolist() != [1] or not bool((pooled == 1).all()):
        raise RuntimeError('they give wrong numbers')


def _dependencies() -> Iterator[Finding]:
    try:
        requirements = importlib.metadata.requires('mmps') or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            'dependencies',
            Verdict.HINT,
            'not known: mmps is run without being installed',
            'pip install -e . in the checkout',
        )
        return
    from packaging.requirements import Requirement

    from mmps.compat import STACK

    parsed = [Requirement(text) for text in requirements]
    needed = [r for r in parsed if 'extra' not in str(r.marker or '') and r.name not in STACK]
    missing = [str(r) for r in needed if not _has(r)]
    if missing:
        quoted = ' '.join(f"'{requirement}'" for requirement in missing)
        yield Finding(
            'dependencies',
            Verdict.BROKEN,
            f'missing or too old: {", ".join(missing)}',
            f'pip install {quoted}',
        )
    else:
        yield Finding('dependencies', Verdict.OK, f'{len(needed)} packages')
    for extra, purpose in EXTRAS.items():
        of_extra = [r for r in parsed if r.marker and r.marker.evaluate({'extra': extra})]
        absent = [r.name for r in of_extra if not _has(r) and r not in needed]
        if absent:
            state = f'not installed ({", ".join(absent)}): {purpose}'
            yield Finding(f'extra {extra}', Verdict.HINT, state, f"pip install 'mmps[{extra}]'")
        elif of_extra:
            yield Finding(f'extra {extra}', Verdict.OK, purpose)


def _has(requirement: 'Requirement') -> bool:
    names = [requirement.name]
    if requirement.name == 'opencv-python':  # the same module under other names
        names += ['opencv-python-headless', 'opencv-contrib-python']
    elif requirement.name == 'faiss-cpu':
        names += ['faiss-gpu', 'faiss-gpu-cu12']
    for name in names:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return requirement.specifier.contains(version, prereleases=True)
    return False


def _video() -> Iterator[Finding]:
    try:
        import cv2

        with_ffmpeg = any(
            line.split() == ['FFMPEG:', 'YES'] for line in cv2.getBuildInformation().splitlines()
        )
    except Exception as error:  # of a broken installation, anything
        yield _broken('OpenCV', error, "pip install 'opencv-python>=4.5'")
        return
    if with_ffmpeg:
        yield Finding('OpenCV', Verdict.OK, f'{cv2.__version__}, reads videos')
    else:
        state = f'{cv2.__version__} without FFmpeg reads few kinds of videos'
        yield Finding('OpenCV', Verdict.HINT, state, "pip install 'mmps[video]'")


def _space() -> Iterator[Finding]:
    for name, folder, needed, remedy in (
        ('disk', os.getcwd(), FREE_DISK, 'checkpoints and galleries need more'),
        ('temporary files', tempfile.gettempdir(), GIB, 'uploads and builds need more'),
        ('shared memory', '/dev/shm', SHARED_MEMORY, 'data loaders need more; Docker: --ipc host'),
    ):
        if os.path.isdir(folder):
            free = shutil.disk_usage(folder).free
            state = f'{free / GIB:.1f} GiB free in {folder}'
            enough = free >= needed
            yield Finding(
                name, Verdict.OK if enough else Verdict.HINT, state, '' if enough else remedy
            )


def _broken(name: str, error: Exception, remedy: str) -> Finding:
    """What is broken, with the remedy that the error names, or else the one given."""
    state, _, named = str(error).partition('Remedy: ')
    return Finding(name, Verdict.BROKEN, state.strip() or type(error).__name__, named or remedy)
