"""What our pages have in common.

They are folders with ``index.html`` and ``images/``, or single files with the pictures in them.
"""

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from .page_style import STYLE
from .scenes import Image


def write_page(folder: str | Path, *, title: str, facts: Mapping[str, str], body: str) -> Path:
    """Write ``index.html``, which needs nothing but the pictures beside it.

    Args:
        folder: Where to write; it exists.
        title: Heading of the page.
        facts: What was evaluated: name -> value (data set, model ...).
        body: HTML of everything below the heading.

    Returns:
        Path of ``index.html``.
    """
    page = Path(folder, 'index.html')
    page.write_text(page_text(title=title, facts=facts, body=body), encoding='utf-8')
    return page


def page_text(*, title: str, facts: Mapping[str, str], body: str) -> str:
    """HTML of a whole page; the arguments are those of :func:`write_page`."""
    parts = [f'{escape(name)}: {escape(value)}' for name, value in facts.items()]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n'
        f'<header>\n<h1>{escape(title)}</h1>\n<p class="soft">{" &middot; ".join(parts)}</p>\n'
        f'</header>\n<main>\n{body}</main>\n</body>\n</html>\n'
    )


def picture(path: Path, alt: str) -> str:
    """HTML of a picture in the folder ``images/`` of a page."""
    return f'<img src="{link(path)}" alt="{escape(alt)}" loading="lazy">'


def embedded_picture(image: Image, alt: str) -> str:
    """HTML of a picture that lies in the page itself.

    Args:
        image: RGB array (H, W, 3).
        alt: What is to be seen on it.
    """
    jpeg = cv2.imencode('.jpg', np.ascontiguousarray(image[..., ::-1]))[1]
    data = base64.b64encode(jpeg.tobytes()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{escape(alt)}" loading="lazy">'


def link(path: Path) -> str:
    """Address of a file one folder below a page, relative to the page."""
    return quote(f'{path.parent.name}/{path.name}')
