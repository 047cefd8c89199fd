"""What commands write: their results to stdout, everything else to stderr."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

_UNLIMITED = 100_000  # columns
_stdout: list[TextIO] = []


@contextmanager
def results_alone_on_stdout() -> Iterator[None]:
    """Send to stderr what anything but the functions of this module prints.

    MMEngine logs to stdout and draws its progress there, in the middle of what may be JSON.
    """
    _stdout.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _stdout.pop()


def show_json(document: Any) -> None:
    """Write one JSON document to stdout.

    Args:
        document: whatever :func:`mmps.as_json.as_json` takes.
    """
    from mmps.as_json import as_json

    text = json.dumps(as_json(document), indent=2, allow_nan=False, ensure_ascii=False)
    show(text)


def show(text: str) -> None:
    """Write text to stdout."""
    out = _stdout[-1] if _stdout else sys.stdout
    out.write(f'{text}\n')
    out.flush()


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str = '') -> None:
    """Write a table to stdout: cut to the width of a terminal, in full to a file or pipe.

    Args:
        columns: headings.
        rows: cells of each row, shown as ``str``; numbers are aligned to the right and never cut.
        title: above the table.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify='left')
    for number, column in enumerate(columns):
        numeric = all(isinstance(row[number], int | float) for row in rows)
        table.add_column(escape(column), justify='right' if numeric else 'left', no_wrap=numeric)
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    out = _stdout[-1] if _stdout else sys.stdout
    Console(file=out, width=None if out.isatty() else _UNLIMITED).print(table)


def note(text: str) -> None:
    """Write a message to stderr."""
    sys.stderr.write(f'{text}\n')
    sys.stderr.flush()
