"""Average precision by counting what passes each threshold."""

import numpy as np


def average_precision(scores: np.ndarray, correct: np.ndarray) -> float:
    """Area under the precision-recall curve, as a sum over thresholds (no interpolation).

    Entries of equal score pass a threshold together, as in scikit-learn's
    ``average_precision_score``, which the published figures were computed with.

    Args:
        scores: (N,).
        correct: (N,) bool.

    Returns:
        The average precision, in [0, 1]; 0 if nothing is correct.
    """
    positives = scores[correct]
    if len(positives) == 0:
        return 0.0
    return float(precision_at(positives, scores=scores).mean())


def precision_at(positives: np.ndarray, *, scores: np.ndarray) -> np.ndarray:
    """The share of correct entries among all of at least the score of each correct one.

    Args:
        positives: the scores of the correct entries, (P,).
        scores: those of all entries, (N,); -inf allowed, NaN not.

    Returns:
        (P,) float64, in the order of rising scores.
    """
    positives = np.sort(
        positives
    )  # NumPy's sort of floats is vectorised, and faster than a binning
    scores = np.sort(scores)
    num_right = len(positives) - np.searchsorted(positives, positives)
    return num_right / (len(scores) - np.searchsorted(scores, positives))
