"""Person search on MMDetection: `import mmps` checks the stack and registers every component."""

from .compat import allow_mmengine_checkpoints, check_stack
from .version import __version__

check_stack()
allow_mmengine_checkpoints()

# Imported for their effect, the registration of components, and only once the stack is checked.
from . import datasets, engine, evaluation, models, visualization  # noqa: E402

__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'models', 'visualization']
