"""A static page that shows the analyses of a search: a picture and a table for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from .page_parts import picture, write_page


@dataclass(frozen=True)
class Section:
    """One analysis as it is shown.

    Attributes:
        title: Its heading.
        text: What it says, how it was computed, or why it could not be.
        images: PNG files in ``images/`` of the page's folder.
        header: Heads of the columns of its table, if there is one.
        rows: Cells of the table, each row as long as the header.
        more: Page that shows more of it, relative to this one.
    """

    title: str
    text: str
    images: Sequence[Path] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    more: str | None = None


def write_analysis_page(
    folder: str | Path, sections: Sequence[Section], *, title: str, facts: Mapping[str, str]
) -> Path:
    """Write the page, over an earlier one in the same folder.

    Args:
        folder: Where to write; it exists and holds the pictures.
        sections: What to show, in this order.
        title: Heading of the page.
        facts: What was analysed: name -> value.

    Returns:
        Path of ``index.html``.
    """
    body = ''.join(_section(section) for section in sections)
    return write_page(folder, title=title, facts=facts, body=body)


def _section(section: Section) -> str:
    parts = [f'<h2>{escape(section.title)}</h2>\n<p>{escape(section.text)}</p>\n']
    if section.more:
        parts.append(f'<p><a href="{escape(section.more)}">The searches in pictures</a></p>\n')
    if section.images or section.rows:
        parts.append('<div class="curves">\n')
        parts += [
            f'<figure class="card">{picture(image, section.title)}</figure>\n'
            for image in section.images
        ]
        if section.rows:
            parts.append(_table(section.header, section.rows))
        parts.append('</div>\n')
    return ''.join(parts)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = ''.join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = ''.join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + ''.join(f'<td>{escape(cell)}</td>' for cell in others)
        + '</tr>\n'
        for first, *others in rows
    )
    return (
        '<div class="card metrics"><table>\n'
        f'<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n'
    )
