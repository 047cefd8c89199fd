"""Wording that the messages of several readers share."""

from collections.abc import Sequence

NAMED_EXAMPLES = 3
"""Number of offending entries that a message spells out."""


def examples(entries: Sequence[str]) -> str:
    """The first few of many entries, and how many more there are, for a message."""
    more = len(entries) - NAMED_EXAMPLES
    return '; '.join(entries[:NAMED_EXAMPLES]) + (f'; and {more} more' if more > 0 else '')
