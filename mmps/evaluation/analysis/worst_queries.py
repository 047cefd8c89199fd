"""The queries that a search does worst on: what to look at first."""

import numpy as np

from mmps.evaluation.functional.ranking import SearchResult


def worst_queries(result: SearchResult, count: int) -> np.ndarray:
    """Queries of the lowest average precision.

    Of equal precision those come first that have more targets; then their order decides. Queries
    whose target is nowhere in their gallery are left out: nothing could have found it.

    Args:
        result: of the search.
        count: how many; all, if there are no more.

    Returns:
        Indices of queries, the worst first, (min(count, Q'),) int64.
    """
    possible = np.flatnonzero(result.num_targets > 0)
    order = np.lexsort((-result.num_targets[possible], result.ap[possible]))
    return possible[order[:count]]
