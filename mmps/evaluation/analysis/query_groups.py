"""Figures of groups of queries: by the height of their box and by how much of it is covered.

Shape shorthand: Q queries, B groups, G annotated persons.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmps.evaluation.functional.ranking import SearchResult


@dataclass(frozen=True)
class QueryGroups:
    """Figures by some value of the query: group b holds the values in (low[b], high[b]].

    The first group holds its ``low``, too.

    Args:
        low: (B,), ascending.
        high: (B,).
        num_queries: (B,) int64.
        mean_ap: (B,), fractions, NaN in a group without queries.
        top1: (B,), likewise.
        found: share of the targets that some detection overlaps, (B,), NaN without targets. What
            is missing was lost by the detector, the rest of a low mAP by the ranking.
    """

    low: np.ndarray
    high: np.ndarray
    num_queries: np.ndarray
    mean_ap: np.ndarray
    top1: np.ndarray
    found: np.ndarray


def by_box_height(
    result: SearchResult, query_bboxes: np.ndarray, *, num_groups: int = 5
) -> QueryGroups:
    """Group queries by the height of their box, equally many in each group.

    Equal heights are in the same group, so that there may be fewer groups than asked for.

    Args:
        result: of the search.
        query_bboxes: (Q, 4) x1, y1, x2, y2, pixels of the original image.
        num_groups: how many quantiles.

    Raises:
        ValueError: if ``num_groups`` is not positive or there are no queries.
    """
    if num_groups < 1:
        raise ValueError(f'num_groups must be positive, got {num_groups}')
    if len(query_bboxes) == 0:
        raise ValueError('There are no queries to group')
    heights = query_bboxes[:, 3] - query_bboxes[:, 1]
    # An edge that is one of the heights, so that rounding cannot move a query across it.
    edges = np.unique(np.quantile(heights, np.linspace(0, 1, num_groups + 1), method='lower'))
    return _figures(result, heights, low=edges[: max(len(edges) - 1, 1)], high=edges[1:])


def by_coverage(
    result: SearchResult,
    coverage: np.ndarray,
    *,
    edges: Sequence[float] = (0.1, 0.25, 0.5),
) -> QueryGroups:
    """Group queries by how much of their box is covered: not at all, up to 10 %, ...

    Args:
        result: of the search.
        coverage: of :func:`~mmps.evaluation.analysis.coverage.covered_share`, (Q,).
        edges: between the groups of those that are covered, ascending, within 0 and 1.
    """
    bounds = np.array([0, 0, *edges, 1], np.float64)
    return _figures(result, coverage, low=bounds[:-1], high=bounds[1:])


def _figures(
    result: SearchResult, values: np.ndarray, *, low: np.ndarray, high: np.ndarray
) -> QueryGroups:
    if len(high) == 0:  # one value only
        high = low
    group = np.searchsorted(high[:-1], values, side='left')
    num = np.bincount(group, minlength=len(low))

    def total(of_queries: np.ndarray) -> np.ndarray:
        return np.bincount(group, weights=of_queries, minlength=len(low))

    with np.errstate(invalid='ignore'):  # 0 / 0 is NaN: no query, nothing to say
        return QueryGroups(
            low=low,
            high=high,
            num_queries=num,
            mean_ap=total(result.ap) / num,
            top1=total(result.hits[:, 0]) / num,
            found=total(result.num_found) / total(result.num_targets),
        )
