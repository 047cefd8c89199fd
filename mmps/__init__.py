"""Person search on MMDetection: `import mmps` checks the stack and registers every component.

Only the command ``mmps`` puts that off until it is needed: its help is there at once, and
``mmps doctor`` also where the stack is broken.
"""

import multiprocessing
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from . import datasets, engine, evaluation, models, visualization


def load_components() -> None:
    """Check the stack under mmps and register every component; again, it does nothing.

    Raises:
        ImportError: a package of the stack is missing or of a version that is not admitted; the
            message names the remedy.
    """
    from .compat import allow_mmengine_checkpoints, check_stack

    check_stack()
    allow_mmengine_checkpoints()
    # Imported for their effect, and only once the stack is checked.
    from . import datasets, engine, evaluation, models, visualization  # noqa: F401


def _is_command() -> bool:
    """Whether this process is the command ``mmps`` itself, not one that it started."""
    program = Path(sys.argv[0]).stem if getattr(sys, 'argv', None) else ''
    return program == 'mmps' and multiprocessing.parent_process() is None


if not _is_command():
    load_components()

__all__ = [
    '__version__',
    'datasets',
    'engine',
    'evaluation',
    'load_components',
    'models',
    'visualization',
]
