"""From the similarity of two boxes to the probability that they show the same person.

The probability is the isotonic regression of "same person" on the similarity (Zadrozny and Elkan,
KDD 2002): of all curves that do not fall, the one of the highest likelihood. It supposes nothing
about how similarities are distributed, and keeps the order of a ranking. Two pairs that nobody saw
are added, one of the same person at the lowest similarity and one of different persons at the
highest: no finite number of pairs makes a probability of 0 or 1.

A probability holds for a *base rate*: the share of pairs of the same person among all pairs that
are compared. In a gallery with ten times as many strangers an equal similarity means the same
person less often. By default the base rate is that of the labelled pairs; another one changes the
odds by Bayes' rule, supposing that the similarities of same and of different persons are
distributed as in the labelled pairs.

Shape shorthand: P pairs, K knots.
"""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from mmps.as_json import as_json
from mmps.evaluation.analysis import (
    OperatingPoint,
    SimilarityCurve,
    operating_point,
    similarity_histogram,
)
from mmps.files import whole_file
from mmps.version import __version__

FILE_NAME = 'calibration.json'
"""Of a calibration in the directory of its gallery."""

_FORMAT = 'mmps.calibration'
_FORMAT_VERSION = 1


@dataclass(frozen=True)
class Calibration:
    """What a similarity means, for one model.

    Args:
        model_id: of the model whose embeddings were compared.
        similarities: (K,) float64 ascending.
        probabilities: that a pair is of the same person, at each of ``similarities``, (K,)
            float64, never falling; in between linear, outside constant.
        false_alarm_rate: that was asked for.
        point: the lowest threshold with at most that rate, and what it gives.
        base_rate: share of pairs of the same person for which the probabilities hold.
        num_same: labelled pairs of the same person.
        num_different: labelled pairs of different persons.
        labels: where the labels came from, for people to read.
        error: expected calibration error of first results that were held out, see
            :func:`~mmps.calibration.held_out_error`; None where it was not measured.
    """

    model_id: str
    similarities: np.ndarray
    probabilities: np.ndarray
    false_alarm_rate: float
    point: OperatingPoint
    base_rate: float
    num_same: int
    num_different: int
    labels: str = ''
    error: float | None = None

    def probability(self, similarities: npt.ArrayLike) -> np.ndarray:
        """The probability that pairs of these similarities are of the same person.

        Args:
            similarities: cosines, of any shape, not weighted by the score of the detection.

        Returns:
            float64 of the same shape, in (0, 1).
        """
        return np.interp(np.asarray(similarities), self.similarities, self.probabilities)

    def save(self, gallery_root: str | os.PathLike[str]) -> Path:
        """Write ``calibration.json`` into the directory of a gallery; an older one is replaced.

        Returns:
            The file.
        """
        path = Path(gallery_root) / FILE_NAME
        content = {
            'format': _FORMAT,
            'format_version': _FORMAT_VERSION,
            'mmps_version': __version__,
            **as_json(self),
        }
        with whole_file(path) as file:
            file.write((json.dumps(content, indent=1, allow_nan=False) + '\n').encode())
        return path

    @classmethod
    def load(cls, gallery_root: str | os.PathLike[str], model_id: str) -> 'Calibration | None':
        """Read the calibration of a gallery.

        Args:
            gallery_root: the gallery's directory.
            model_id: of the gallery's model.

        Returns:
            None if the gallery has not been calibrated.

        Raises:
            ValueError: if the file is damaged, or of another model; the message says what to do.
        """
        path = Path(gallery_root) / FILE_NAME
        if not path.is_file():
            return None
        remedy = 'delete it, or write it anew with `mmps calibrate`'
        try:
            content = json.loads(path.read_bytes())
            if (content['format'], content['format_version']) != (_FORMAT, _FORMAT_VERSION):
                raise ValueError(f'not {_FORMAT} of version {_FORMAT_VERSION}')
            calibration = _from_json(content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'{path}: no calibration that can be read ({error!r}); {remedy}'
            ) from (error)
        if calibration.model_id != model_id:
            raise ValueError(
                f'{path}: made for the model {calibration.model_id}, the gallery is of '
                f'{model_id}; {remedy}'
            )
        return calibration


def calibrate(
    similarities: np.ndarray,
    same_person: np.ndarray,
    *,
    false_alarm_rate: float,
    model_id: str = '',
    base_rate: float | None = None,
    labels: str = '',
) -> Calibration:
    """Calibrate with pairs of which it is known whether they are of the same person.

    Args:
        similarities: cosines, (P,) floating; resolved to 1/8192.
        same_person: (P,) bool.
        false_alarm_rate: in [0, 1]: the share of pairs of different persons that may pass the
            threshold.
        model_id: of the model whose embeddings were compared.
        base_rate: share of pairs of the same person where the probabilities are to be used; None:
            as among these pairs.
        labels: where the labels came from.

    Raises:
        ValueError: see :func:`calibrate_pairs`; or if the arrays differ in length.
    """
    if np.shape(similarities) != np.shape(same_person):
        raise ValueError(
            f'similarities {np.shape(similarities)} and same_person {np.shape(same_person)} must '
            'have the same shape'
        )
    same_person = np.asarray(same_person, bool)
    similarities = np.asarray(similarities)
    curve = SimilarityCurve.from_histograms(
        similarity_histogram(similarities[same_person]),
        similarity_histogram(similarities[~same_person]),
        num_targets=int(same_person.sum()),
        num_queries=1,
    )
    return calibrate_pairs(
        curve,
        false_alarm_rate=false_alarm_rate,
        model_id=model_id,
        base_rate=base_rate,
        labels=labels,
    )


def calibrate_pairs(
    pairs: SimilarityCurve,
    *,
    false_alarm_rate: float,
    model_id: str = '',
    base_rate: float | None = None,
    labels: str = '',
    error: float | None = None,
) -> Calibration:
    """Calibrate with counted pairs, of which there may be any number.

    Args:
        pairs: of :func:`~mmps.calibration.label_pairs`; the right ones are of the same person.
        false_alarm_rate: see :func:`calibrate`, as all other arguments.
        model_id: see there.
        base_rate: see there.
        labels: see there.
        error: of :func:`~mmps.calibration.held_out_error`, to be stored with it.

    Raises:
        ValueError: if there are no pairs of the same or none of different persons, if the
            false-alarm rate is not in [0, 1] or the base rate not in (0, 1).
    """
    same, different = int(pairs.num_right[0]), int(pairs.num_wrong[0])
    for kind, number in (('the same person', same), ('different persons', different)):
        if number == 0:
            raise ValueError(
                f'There are no pairs of {kind} among the labels: both kinds are needed'
            )
    if base_rate is not None and not 0 < base_rate < 1:
        raise ValueError(f'A base rate is between 0 and 1, got {base_rate}')
    similarities, probabilities = _isotonic(pairs)
    labelled_rate = same / (same + different)
    if base_rate is not None:
        change = base_rate / (1 - base_rate) * (1 - labelled_rate) / labelled_rate
        odds = probabilities / (1 - probabilities) * change
        probabilities = odds / (1 + odds)
    return Calibration(
        model_id=model_id,
        similarities=similarities,
        probabilities=probabilities,
        false_alarm_rate=false_alarm_rate,
        point=operating_point(pairs, false_alarm_rate=false_alarm_rate),
        base_rate=labelled_rate if base_rate is None else base_rate,
        num_same=same,
        num_different=different,
        labels=labels,
        error=error,
    )


def _isotonic(pairs: SimilarityCurve) -> tuple[np.ndarray, np.ndarray]:
    """Knots of the isotonic regression: both ends of every block of equal probability, (K,)."""
    right, wrong = -np.diff(pairs.num_right), -np.diff(pairs.num_wrong)
    bins = np.flatnonzero(right + wrong)
    right, wrong = right[bins], wrong[bins]
    right[0] += 1
    wrong[-1] += 1
    fit = isotonic_regression(right / (right + wrong), weights=right + wrong)
    middle = np.minimum((pairs.thresholds[bins] + pairs.thresholds[bins + 1]) / 2, 1)
    first, last = fit.blocks[:-1], fit.blocks[1:] - 1
    ends = np.unique(np.concatenate([first, last]))
    return middle[ends], fit.x[ends]


def _from_json(content: dict[str, Any]) -> Calibration:
    values = {f.name: content[f.name] for f in dataclasses.fields(Calibration)}
    for name in ('similarities', 'probabilities'):
        values[name] = np.array(values[name], np.float64)
    knots, probabilities = values['similarities'], values['probabilities']
    if not (len(knots) == len(probabilities) > 0 and (np.diff(knots) > 0).all()):
        raise ValueError('similarities must ascend, with a probability each')
    if not ((probabilities > 0) & (probabilities < 1)).all() or (np.diff(probabilities) < 0).any():
        raise ValueError('probabilities must be within 0 and 1 and not fall')
    point = {name: np.nan if value is None else value for name, value in values['point'].items()}
    return Calibration(**{**values, 'point': OperatingPoint(**point)})
