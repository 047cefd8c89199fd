"""Pictures of person search: the registered visualizer and the results page."""

from .person_search_visualizer import PersonSearchVisualizer, RankedResult, pid_color
from .search_examples import SearchExample, make_examples, spread_queries
from .search_page import write_search_page
from .training_curves import TrainingLog, draw_curves, read_scalars

__all__ = [
    'PersonSearchVisualizer',
    'RankedResult',
    'SearchExample',
    'TrainingLog',
    'draw_curves',
    'make_examples',
    'pid_color',
    'read_scalars',
    'spread_queries',
    'write_search_page',
]
