"""What the command lines of tools have in common: a config, changes to it, files that are there."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope


def config_file(path: str) -> str:
    """The path of a config, as ``type`` of an argument.

    Raises:
        ArgumentTypeError: there is no such file.
    """
    if not Path(path).is_file():
        raise argparse.ArgumentTypeError(f'there is no config file {path}')
    return path


def checkpoint_file(path: str) -> str:
    """The path of a checkpoint, or its address, as ``type`` of an argument.

    Raises:
        ArgumentTypeError: there is no such file; addresses are not looked up.
    """
    if '://' not in path and not Path(path).is_file():
        raise argparse.ArgumentTypeError(f'there is no checkpoint file {path}')
    return path


def add_config_arguments(parser: argparse.ArgumentParser, *, help: str = 'config file') -> None:
    """Add ``config`` and ``--cfg-options``."""
    parser.add_argument('config', type=config_file, help=help)
    add_cfg_options(parser)


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``: changes to a config."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='override settings of the config: key=value pairs, nested keys with dots, lists as '
        'key="[a,b]" without blanks',
    )


def load_config(path: str | Path, cfg_options: Mapping[str, Any] | None = None) -> Config:
    """Read a config, change it as ``--cfg-options`` says, and enter its scope of components."""
    config = Config.fromfile(path)
    config.merge_from_dict({} if cfg_options is None else dict(cfg_options))
    init_default_scope(config.get('default_scope', 'mmdet'))
    return config
