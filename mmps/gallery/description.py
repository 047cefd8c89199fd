"""``gallery.json``: what a gallery is, written once."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmps.files import whole_file

FORMAT = 1


def check_folder(root: str | Path) -> None:
    """Check that a gallery is there or can be made there.

    Args:
        root: its folder.

    Raises:
        ValueError: it is a file.
    """
    if Path(root).is_file():
        raise ValueError(f'{root}: this is a file; a gallery is a folder')


def read_description(root: str | Path) -> dict[str, Any]:
    """What the gallery in a folder is.

    Args:
        root: the folder.

    Returns:
        ``gallery_id``, ``model_id``, ``embed_dim`` and ``model``, as :class:`Gallery` has them.

    Raises:
        ValueError: there is none, or one that this version cannot read; the message names it.
    """
    check_folder(root)
    path = Path(root) / 'gallery.json'
    try:
        about = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ValueError(
            f'{root}: no gallery (it has no gallery.json). Make one: mmps index SOURCES... '
            f'--gallery {root}'
        ) from error
    except ValueError as error:
        raise ValueError(f'{path}: damaged ({error}); restore it from a backup') from error
    if about.get('format') != FORMAT:
        raise ValueError(
            f'{path}: format {about.get("format")!r}, this version of mmps reads {FORMAT}. '
            'Index the sources anew with it, or use the version that made the gallery.'
        )
    del about['format']
    return dict(about)


def describe_if_new(
    root: Path, *, model_id: str, embed_dim: int, model: Mapping[str, str | None]
) -> None:
    """Say what the gallery in a folder is, unless it is said; under the gallery's lock.

    Args:
        root: the folder.
        model_id: as of :class:`Gallery`, likewise the others.
        embed_dim: D.
        model: where the model is.
    """
    path = root / 'gallery.json'
    if path.exists():
        return
    about = dict(
        format=FORMAT,
        gallery_id=uuid.uuid4().hex,
        model_id=model_id,
        embed_dim=embed_dim,
        model=dict(model),
    )
    with whole_file(path) as file:
        file.write(json.dumps(about, indent=2).encode())
