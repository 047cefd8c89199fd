"""Reading MATLAB's files, in which PRW and CUHK-SYSU are published."""

from pathlib import Path

import numpy as np
from scipy.io import loadmat


def read_mat(path: Path) -> dict[str, np.ndarray]:
    """Variables of a .mat file, without the format's own entries.

    Raises:
        ValueError: it is empty, truncated or no .mat file; the message names it.
    """
    if path.stat().st_size == 0:
        raise ValueError(f'{path}: the file is empty')
    try:
        content = loadmat(path)
    except Exception as error:  # a damaged file takes SciPy's reader anywhere
        reason = f'{type(error).__name__}: {error}'
        raise ValueError(f'{path}: not a readable .mat file, or truncated ({reason})') from error
    return {key: value for key, value in content.items() if not key.startswith('__')}


def read_variable(path: Path, key: str) -> np.ndarray:
    """The variable ``key`` of a .mat file.

    Raises:
        ValueError: as :func:`read_mat`, or the file has no such variable.
    """
    content = read_mat(path)
    if key not in content:
        raise ValueError(f'{path}: no variable {key!r} in it, only {sorted(content)}')
    return content[key]
