"""One clear error for arrays that cannot be evaluated, instead of one from inside NumPy."""

import numpy as np

_CHUNK = 4096  # rows looked at at once, so that a check needs little memory


def check_integers(name: str, values: np.ndarray, *, size: int | None = None) -> None:
    """Ask for a vector of signed integers.

    Args:
        name: what the error calls the array.
        values: (N,).
        size: N; None: any.

    Raises:
        ValueError: if it is something else.
    """
    _check_kind(name, values, 'i', 'signed integers')
    if values.ndim != 1 or size not in (None, len(values)):
        expected = 'a vector' if size is None else f'({size},)'
        raise ValueError(f'{name} has shape {values.shape}, expected {expected}')


def check_indices(name: str, values: np.ndarray, *, low: int = 0, high: int) -> None:
    """Ask for a vector of signed integers in ``low..high - 1``.

    Args:
        name: what the error calls the array.
        values: (N,).
        low: least value allowed.
        high: first value beyond.

    Raises:
        ValueError: if it is something else; the message names the first wrong entry.
    """
    check_integers(name, values)
    wrong = np.flatnonzero((values < low) | (values >= high))
    if len(wrong):
        raise ValueError(f'{name}[{wrong[0]}] is {values[wrong[0]]}, outside of {low}..{high - 1}')


def check_numbers(name: str, values: np.ndarray, *, shape: tuple[int, ...]) -> None:
    """Ask for finite numbers in an array of a certain shape.

    Args:
        name: what the error calls the array.
        values: floating; in boxes, which is what a ``shape`` of (N, 4) means, integers will do.
        shape: the shape asked for.

    Raises:
        ValueError: if it is something else; the message names the first wrong entry.
    """
    boxes = shape[1:] == (4,)
    _check_kind(name, values, 'fiu' if boxes else 'f', 'numbers' if boxes else 'floating numbers')
    if values.shape != shape:
        raise ValueError(f'{name} has shape {values.shape}, expected {shape}')
    for begin in range(0, len(values), _CHUNK):
        finite = np.isfinite(values[begin : begin + _CHUNK])
        if not finite.all():
            row = begin + int(np.argwhere(~finite)[0, 0])
            raise ValueError(f'{name}[{row}] is NaN or infinite')


def _check_kind(name: str, values: np.ndarray, kinds: str, wanted: str) -> None:
    if not isinstance(values, np.ndarray):
        raise ValueError(f'{name} must be a NumPy array, got {type(values).__name__}')
    if values.dtype.kind not in kinds:
        raise ValueError(f'{name} must hold {wanted}, got {values.dtype}')
