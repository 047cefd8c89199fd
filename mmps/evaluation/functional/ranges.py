"""Many index ranges at once: the building block of code without a loop over images."""

import numpy as np


def expand_ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Concatenate the ranges ``starts[i], ..., starts[i] + counts[i] - 1``.

    Args:
        starts: first index of each range, (R,) int64.
        counts: length of each range, (R,) int64, 0 allowed.

    Returns:
        (counts.sum(),) int64.
    """
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total, dtype=np.int64) + np.repeat(starts - ends + counts, counts)


def indptr_from_counts(counts: np.ndarray) -> np.ndarray:
    """Row pointers (R + 1,) int64 of a CSR structure with ``counts`` (R,) entries a row."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
