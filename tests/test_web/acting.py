"""What a user does on the page, as its handlers see it."""

from pathlib import Path

import pytest

gr = pytest.importorskip('gradio')

from mmps.web.handlers import GROUPS  # noqa: E402

PLAIN = dict(cameras=[], path='', begin='', end='', group=next(iter(GROUPS)), topk=12)


def at(x, y):
    """A click on a pixel of a scene, which is 400 pixels wide and shown with 960."""
    return gr.SelectData(None, {'index': [2.4 * x, 2.4 * y], 'value': None})


def names(found):
    """Folder and name of the scene of each result."""
    return ['/'.join(Path(match.source).parts[-2:]) for match in found.matches]
