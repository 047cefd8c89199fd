"""What CUHK-SYSU's files are made of: MATLAB's struct arrays with names and boxes, checked.

Every function raises ValueError for a value of another kind; ``where`` says in its message what
file and entry the value is of. A box is ``idlocate``: x, y,
w, h in pixels. Boxes are whole numbers; where they are not, fractions are cut off, as SeqNet's
loader does. N is a number of boxes.
"""

from collections.abc import Sequence

import numpy as np


def struct_array(value: object, names: Sequence[str], where: str) -> np.ndarray:
    """The structs of a struct array that has the fields ``names``, flat; it may be empty."""
    array = np.asarray(value)
    if array.dtype.names is None and array.size == 0:  # MATLAB writes [] for no structs
        return np.zeros(0, [(name, object) for name in names])
    if not set(names) <= set(array.dtype.names or ()):
        found = array.dtype.names or f'an array of type {array.dtype}'
        raise ValueError(f'{where}: wanted is a struct with {", ".join(names)}, not {found}')
    return array.ravel()


def single_struct(value: object, names: Sequence[str], where: str) -> np.void:
    """The struct of a struct array that has one."""
    array = struct_array(value, names, where)
    if len(array) != 1:
        wanted = f'one struct with {", ".join(names)}'
        raise ValueError(f'{where}: wanted is {wanted}, not {len(array)}')
    return array[0]


def name_of(value: object, what: str, where: str) -> str:
    """The string of the field ``what``, not blank."""
    name = _only_string(value)
    if name is None:
        raise ValueError(f'{where}: {what} is {np.asarray(value).tolist()}, not a name')
    return name


def names_of(values: np.ndarray, what: str, where: str) -> list[str]:
    """The strings of the field ``what`` of many structs."""
    return [
        _only_string(value) or name_of(value, what, f'{where} {number}')
        for number, value in enumerate(values, 1)
    ]


def box_of(value: object, where: str) -> np.ndarray:
    """The box of an ``idlocate``, (4,) int32."""
    numbers = np.asarray(value).ravel()
    limit = np.iinfo(np.int32).max // 2  # x + w stays a 32-bit number
    if (
        numbers.shape != (4,)
        or numbers.dtype.kind not in 'iuf'
        or not (np.abs(numbers.astype(np.float64)) <= limit).all()  # not so for NaN either
    ):
        raise ValueError(
            f'{where}: idlocate is {numbers.tolist()}; wanted are four numbers x, y, w, h'
        )
    return numbers.astype(np.int32)


def boxes_of(values: np.ndarray, where: str) -> np.ndarray:
    """The boxes of the ``idlocate`` of many structs, (N, 4) int32."""
    rows = [box_of(value, f'{where} {number}') for number, value in enumerate(values, 1)]
    return np.array(rows, np.int32).reshape(-1, 4)


def box_with_area(value: object, where: str) -> np.ndarray:
    """As :func:`box_of`; w and h must be positive."""
    box = box_of(value, where)
    if (box[2:] <= 0).any():
        raise ValueError(f'{where}: the box has no area (x, y, w, h = {box.tolist()})')
    return box


def corner_boxes(xywh: np.ndarray) -> np.ndarray:
    """Boxes x1, y1, x2, y2 of boxes x, y, w, h, as SeqNet's loader makes them: added, no more.

    Args:
        xywh: (N, 4) int32.

    Returns:
        (N, 4) float32.
    """
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1).astype(np.float32)


def _only_string(value: object) -> str | None:
    """The string of a character array; None if it has another number of them, or a blank one."""
    text = value.item() if isinstance(value, np.ndarray) and value.size == 1 else None
    return text.strip() or None if isinstance(text, str) else None
