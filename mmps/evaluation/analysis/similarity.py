"""What a threshold on the similarity would let through: for alarms rather than for rankings.

A ranking always has a first; a system that raises alarms has to say from which similarity on. Of
all pairs of a query and a detection of its gallery, those that the matching of the search calls
correct are right, all others are wrong: also a second detection of the right person in a scene.

Shape shorthand: Q queries, T thresholds.
"""

from dataclasses import dataclass

import numpy as np

from .inputs import SearchInputs

# Thresholds are multiples of a power of two: float32 similarities are binned without rounding.
_STEPS = 2**13


@dataclass(frozen=True)
class SimilarityCurve:
    """Pairs of a query and a detection whose similarity reaches a threshold.

    Args:
        thresholds: (T,) ascending; the first lets every pair through, the last none.
        num_right: right pairs at or above each threshold, (T,) int64.
        num_wrong: wrong pairs at or above each threshold, (T,) int64.
        num_targets: what there is to find, over all queries; at least ``num_right[0]``.
        num_queries: Q.
    """

    thresholds: np.ndarray
    num_right: np.ndarray
    num_wrong: np.ndarray
    num_targets: int
    num_queries: int

    @classmethod
    def from_histograms(
        cls, right: np.ndarray, wrong: np.ndarray, *, num_targets: int, num_queries: int
    ) -> 'SimilarityCurve':
        """Make the curve of pairs that :func:`similarity_histogram` counted.

        Args:
            right: of right pairs.
            wrong: of wrong pairs.
            num_targets: what there is to find, over all queries.
            num_queries: Q.
        """
        return cls(
            thresholds=np.arange(-_STEPS, _STEPS + 2) / _STEPS,
            num_right=_at_least(right),
            num_wrong=_at_least(wrong),
            num_targets=num_targets,
            num_queries=num_queries,
        )

    @property
    def span(self) -> slice:
        """Places of the thresholds from the last that lets all pairs through to the last of any."""
        passed = self.num_right + self.num_wrong
        return slice(int((passed == passed[0]).sum()) - 1, int((passed > 0).sum()))

    @property
    def precision(self) -> np.ndarray:
        """Right among all pairs at or above each threshold, (T,); NaN where there are none."""
        passed = self.num_right + self.num_wrong
        return np.divide(self.num_right, passed, out=np.full(len(passed), np.nan), where=passed > 0)

    @property
    def recall(self) -> np.ndarray:
        """Right pairs at or above each threshold among all there are to find, (T,)."""
        return self.num_right / max(self.num_targets, 1)

    @property
    def false_alarm_rate(self) -> np.ndarray:
        """Wrong pairs at or above each threshold among all wrong pairs, (T,)."""
        return self.num_wrong / max(int(self.num_wrong[0]), 1)

    @property
    def false_alarms_per_query(self) -> np.ndarray:
        """Wrong pairs at or above each threshold for a query, on average, (T,)."""
        return self.num_wrong / self.num_queries


@dataclass(frozen=True)
class OperatingPoint:
    """What one threshold of the similarity gives; terms as in :class:`SimilarityCurve`.

    Args:
        threshold: a pair passes if its similarity is not lower.
        precision: NaN if nothing passes.
        recall: fraction.
        false_alarm_rate: of all wrong pairs, the fraction that passes.
        false_alarms_per_query: wrong pairs that pass, for a query on average.
    """

    threshold: float
    precision: float
    recall: float
    false_alarm_rate: float
    false_alarms_per_query: float


def similarity_curve(inputs: SearchInputs) -> SimilarityCurve:
    """Count right and wrong pairs by similarity, over all queries and their galleries.

    Similarities are those that are ranked: weighted by the detection's score if the search does
    so. They lie in [-1, 1], since embeddings have norm 1; one outside counts as at the border.

    Args:
        inputs: the search.

    Raises:
        ValueError: if scenes count twice (``Protocol.full_set``).
    """
    inputs.refuse_full_set()
    counts = similarity_histogram(np.zeros(0, np.float32))

    def count(query: int, det: np.ndarray, similarities: np.ndarray) -> None:
        counts[:] += similarity_histogram(similarities[similarities > -np.inf])

    result = inputs.evaluate(rerank=count)
    right = similarity_histogram(result.found_similarity)
    return SimilarityCurve.from_histograms(
        right,
        counts - right,
        num_targets=int(result.num_targets.sum()),
        num_queries=inputs.protocol.num_queries,
    )


def sampled(curve: SimilarityCurve, *, step: int = 64) -> dict[str, np.ndarray]:
    """Every ``step``-th threshold of ``curve.span``, and its figures, to be written down.

    Args:
        curve: of :func:`similarity_curve`.
        step: 64 of the thresholds are 1/128 apart.

    Returns:
        ``thresholds`` and the properties of the curve by name, all of one length.
    """
    first = -(-curve.span.start // step) * step  # thresholds of two curves are the same ones
    shown = slice(first, curve.span.stop, step)
    return {
        'thresholds': curve.thresholds[shown],
        'precision': curve.precision[shown],
        'recall': curve.recall[shown],
        'false_alarm_rate': curve.false_alarm_rate[shown],
        'false_alarms_per_query': curve.false_alarms_per_query[shown],
    }


def operating_point(curve: SimilarityCurve, *, false_alarm_rate: float) -> OperatingPoint:
    """The lowest threshold whose false-alarm rate is not above the one asked for.

    Thresholds are tried in steps of 1/8192. There always is one: the highest lets nothing pass.

    Args:
        curve: of :func:`similarity_curve`.
        false_alarm_rate: in [0, 1]: the fraction of all wrong pairs that may pass.

    Raises:
        ValueError: if the rate is not in [0, 1].
    """
    if not 0 <= false_alarm_rate <= 1:
        raise ValueError(f'A false-alarm rate is within 0 and 1, got {false_alarm_rate}')
    place = int(np.argmax(curve.false_alarm_rate <= false_alarm_rate))
    return OperatingPoint(
        threshold=float(curve.thresholds[place]),
        precision=float(curve.precision[place]),
        recall=float(curve.recall[place]),
        false_alarm_rate=float(curve.false_alarm_rate[place]),
        false_alarms_per_query=float(curve.false_alarms_per_query[place]),
    )


def similarity_histogram(similarities: np.ndarray) -> np.ndarray:
    """How many similarities lie in each step of 1/8192 from -1 to 1.

    Args:
        similarities: (P,) floating; one outside of [-1, 1] counts as at the border.

    Returns:
        (2 * 8192 + 1,) int64; the last is of 1 alone. Histograms may be added.
    """
    steps = np.floor(similarities * np.float32(_STEPS))
    bins = np.clip(steps, -_STEPS, _STEPS).astype(np.int64) + _STEPS
    return np.bincount(bins, minlength=2 * _STEPS + 1)


def _at_least(counts: np.ndarray) -> np.ndarray:
    """Entries from each bin on; of a bin after the last there are none."""
    return np.append(counts[::-1].cumsum()[::-1], 0)
