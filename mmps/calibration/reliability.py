"""Whether calibrated probabilities hold: of results said to be right with p, p are right."""

import numpy as np

from .calibration import calibrate_pairs
from .pairs import LabelledPairs


def expected_calibration_error(
    probabilities: np.ndarray, same_person: np.ndarray, *, num_bins: int = 10
) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015; Guo et al., ICML 2017, Eq. 3).

    Pairs are put into bins of equal width by their probability; the error is the mean over all
    pairs of how far the mean probability of their bin is from the share of the same person in it.

    Args:
        probabilities: (P,) floating in [0, 1].
        same_person: (P,) bool.
        num_bins: how many bins.

    Raises:
        ValueError: if there are no pairs.
    """
    if len(probabilities) == 0:
        raise ValueError('Without pairs there is no calibration error')
    place = np.minimum((np.asarray(probabilities) * num_bins).astype(np.int64), num_bins - 1)
    gap = np.bincount(place, np.asarray(probabilities) - same_person, minlength=num_bins)
    return float(np.abs(gap).sum() / len(probabilities))


def held_out_error(pairs: LabelledPairs) -> float | None:
    """Calibration error of first results, each by a calibration that saw no pair of its person.

    Args:
        pairs: of :func:`~mmps.calibration.label_pairs`.

    Returns:
        None if some fold leaves no pairs of the same person to calibrate with.
    """
    probabilities = np.zeros(len(pairs.first_fold))
    for fold in np.unique(pairs.first_fold):
        curve = pairs.curve(without=int(fold))
        if curve.num_right[0] == 0 or curve.num_wrong[0] == 0:
            return None
        chosen = pairs.first_fold == fold
        calibration = calibrate_pairs(curve, false_alarm_rate=0)
        probabilities[chosen] = calibration.probability(pairs.first_similarity[chosen])
    return (
        expected_calibration_error(probabilities, pairs.first_same) if len(probabilities) else None
    )
