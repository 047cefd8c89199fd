"""Who may reach the page, and which files it may touch."""

import os
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

MIN_TOKEN_LENGTH = 16

_MAX_DEPTH = 3
_MAX_FOLDERS = 500


def is_loopback(host: str) -> bool:
    """Whether an address to bind to can be reached from this machine alone."""
    if host == 'localhost':
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name, which may be that of any network
        return False


def check_access(host: str, token: str | None) -> None:
    """Refuse to serve others without a token that cannot be guessed.

    Args:
        host: address to bind to.
        token: what a user has to know; None for no token.

    Raises:
        ValueError: if the token is too short, or missing where others can reach the page.
    """
    if token is None and not is_loopback(host):
        raise ValueError(
            f'--host {host} lets other machines reach the page: give an access token of at least '
            f'{MIN_TOKEN_LENGTH} characters, by the environment variable MMPS_TOKEN or --token '
            "(python -c 'import secrets; print(secrets.token_urlsafe())' makes one)"
        )
    if token is not None and len(token) < MIN_TOKEN_LENGTH:
        raise ValueError(f'the access token has {len(token)} characters, give {MIN_TOKEN_LENGTH}')


def inside(path: str | os.PathLike[str], roots: Sequence[Path]) -> Path:
    """The path, links followed, if it lies in one of some folders.

    Args:
        path: as a user gives it.
        roots: the folders.

    Raises:
        ValueError: if it lies elsewhere. The message is the same for what is there and what is
            not: it tells nothing about other folders.
    """
    resolved = Path(os.path.realpath(path))
    if any(resolved.is_relative_to(os.path.realpath(root)) for root in roots):
        return resolved
    raise ValueError(f'{path}: not in a folder that this page may read')


def list_folders(roots: Sequence[Path]) -> list[str]:
    """The roots and the folders in them, to choose from: three levels deep, 500 at most."""
    found: list[str] = []
    level = [Path(root) for root in roots]
    for _ in range(_MAX_DEPTH + 1):
        found += map(str, level)
        below = (entry for folder in level for entry in _subfolders(folder))
        level = sorted(folder for folder in below if not folder.name.startswith('.'))
    return found[:_MAX_FOLDERS]


def _subfolders(folder: Path) -> list[Path]:
    try:
        return [Path(e.path) for e in os.scandir(folder) if e.is_dir(follow_symlinks=False)]
    except PermissionError:
        return []
