"""Figures as a table to read."""

from collections.abc import Mapping

from terminaltables import AsciiTable


def metrics_table(metrics: Mapping[str, float]) -> str:
    """One row of figures, in percent, for each group of ``group/name`` keys.

    Args:
        metrics: fractions, as of
            :func:`~mmps.evaluation.functional.person_search.evaluate_predictions`.
    """
    groups: dict[str, list[str]] = {}
    for key, value in metrics.items():
        group, _, name = key.rpartition('/')
        groups.setdefault(group, []).append(f'{name} {100 * value:6.2f}')
    columns = max((len(cells) for cells in groups.values()), default=0)
    rows = [[group, *cells, *[''] * (columns - len(cells))] for group, cells in groups.items()]
    table = AsciiTable([['[%]', *[''] * columns], *rows])
    return str(table.table)
