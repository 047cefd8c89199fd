"""Results of any kind as JSON."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def as_json(value: Any) -> Any:
    """What ``json`` can write, of dataclasses, mappings, sequences, arrays, paths and numbers.

    Numbers that JSON does not have (NaN, infinite) become null.

    Args:
        value: such as :class:`~mmps.evaluation.analysis.GallerySizeCurve`.
    """
    if dataclasses.is_dataclass(value):
        return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): as_json(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return as_json(value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [as_json(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
