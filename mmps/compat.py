"""What mmps asks of the stack under it: versions, mmcv's compiled ops, safe loading.

Everything here runs once, when ``mmps`` is imported.
"""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from packaging.version import Version

from .version import __version__


class Bounds(NamedTuple):
    """Versions of one package that mmps admits.

    Attributes:
        minimum: Oldest version that has what mmps uses.
        tried: Newest version whose ``major.minor`` mmps was run with. Newer ones below ``below``
            are admitted with a warning: forks of the stack publish some.
        below: First version refused, the next major one.
    """

    minimum: str
    tried: str
    below: str

    def requirement(self, package: str) -> str:
        """Return what pip is to be asked for, such as ``mmcv>=2.0.1,<3``."""
        return f'{package}>={self.minimum},<{self.below}'


# In the order of import: each package checks those before it. Keep in step with pyproject.toml.
STACK: dict[str, Bounds] = {
    'mmengine': Bounds('0.10.0', '0.10.7', '1'),
    'mmcv': Bounds('2.0.1', '2.1.0', '3'),
    'mmdet': Bounds('3.3.0', '3.3.0', '4'),
    'mmpretrain': Bounds('1.2.0', '1.2.0', '2'),
}


def check_version(package: str, installed: str, *, bounds: Bounds) -> None:
    """Check one package's version against its bounds.

    Args:
        package: Name of the package, as pip knows it.
        installed: Its version, such as ``2.1.0`` or ``2.1.0+cu118``.
        bounds: Versions admitted.

    Raises:
        ImportError: The version is older than ``bounds.minimum`` or of another major version.

    Warns:
        UserWarning: The version is newer than what mmps was tried with.
    """
    version = Version(installed)
    if version < Version(bounds.minimum) or version.release >= Version(bounds.below).release:
        raise ImportError(
            f'mmps {__version__} needs {bounds.requirement(package)}, but {package} {installed} '
            f"is installed. Remedy: pip install '{bounds.requirement(package)}'"
        )
    if version.release[:2] > Version(bounds.tried).release[:2]:
        warnings.warn(
            f'mmps {__version__} was tried with {package} up to {bounds.tried}; {installed} is '
            'newer. Should something fail that should not, '
            f"try: pip install '{package}=={bounds.tried}'",
            stacklevel=2,
        )


def _import_version(package: str, bounds: Bounds) -> str:
    """Import a package of the stack and return its version.

    Versions are read from the modules: forks publish the same module under another pip name.
    """
    try:
        return str(importlib.import_module(package).__version__)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(
            f'mmps {__version__} needs {package}, which is not installed. '
            f"Remedy: pip install '{bounds.requirement(package)}'"
        ) from error
    except AssertionError as error:
        # MMDet and MMPreTrain assert the versions of MMCV and MMEngine at import.
        raise ImportError(
            f'The installed {package} refuses another package of the stack: {error} '
            f'Remedy: install the version it asks for, or a newer {package} below {bounds.below}'
        ) from error


def check_stack(stack: Mapping[str, Bounds] = STACK) -> None:
    """Check the versions of the OpenMMLab packages and that mmcv's compiled ops load.

    Args:
        stack: Packages to import and check, in this order.

    Raises:
        ImportError: A package is missing, of a version that is not admitted, or refuses another
            one; or mmcv has no compiled ops or such as do not fit the installed PyTorch. The
            message names the remedy.
    """
    for package, bounds in stack.items():
        check_version(package, _import_version(package, bounds), bounds=bounds)
        if package == 'mmcv':
            check_ops()


def check_ops(module: str = 'mmcv._ext') -> None:
    """Check that mmcv's compiled ops load (RoIAlign and NMS are among them).

    Args:
        module: Extension module to import.

    Raises:
        ImportError: They are missing, as in mmcv-lite, or were built for another PyTorch.
    """
    importlib.import_module('torch')  # the extension needs PyTorch's libraries in memory
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"mmcv's compiled ops do not load ({error}). mmcv-lite has none, and a build fits one "
            'PyTorch only. Remedy: pip uninstall -y mmcv-lite; MMCV_WITH_OPS=1 pip install '
            '--no-build-isolation --no-cache-dir --no-deps --force-reinstall '
            f"'{STACK['mmcv'].requirement('mmcv')}'"
        ) from error


def _history_statistic(owner: object, name: str) -> Callable[..., Any]:
    """Stand in for ``getattr`` while a checkpoint is unpickled.

    A `HistoryBuffer` is pickled together with its statistics, ``getattr(HistoryBuffer, 'mean')``
    and so on. To allow ``getattr`` itself would hand any checkpoint the way to everything that is
    reachable from an allowed class; this gives those methods and nothing else.

    Raises:
        TypeError: The attribute is not one of the four statistics of `HistoryBuffer`.
    """
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name not in ('current', 'max', 'mean', 'min'):
        raise TypeError(f'A checkpoint asks for the attribute {name!r} of {owner!r}: refused.')
    statistic: Callable[..., Any] = getattr(HistoryBuffer, name)
    return statistic


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load(..., weights_only=True)`` read the checkpoints of MMEngine's runner.

    That is the default of ``torch.load`` since PyTorch 2.6 and stays switched on: what a runner
    saves beside tensors is declared safe, one class at a time. Those are its `HistoryBuffer` and
    NumPy's arrays and scalars of numbers, under the names of NumPy 1 and 2. Older releases of
    PyTorch load without the restriction, so there is nothing to allow.
    """
    import numpy as np
    import torch
    from mmengine.logging import HistoryBuffer

    if Version(torch.__version__).release < (2, 6):
        return
    reconstruct: Any = np.zeros(0).__reduce__()[0]
    scalar: Any = np.float64(0).__reduce__()[0]
    number_dtypes = {type(np.dtype(code)) for code in np.typecodes['AllInteger'] + '?efdg'}
    allowed: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        *number_dtypes,
        (_history_statistic, 'builtins.getattr'),
    ]
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed += [(reconstruct, f'{module}._reconstruct'), (scalar, f'{module}.scalar')]
    torch.serialization.add_safe_globals(allowed)
