"""For programs that use mmps: an inferencer from images to persons."""

from .inferencer import PersonSearchInferencer
from .persons import Persons
from .ranking import Ranking
from .results_page import describe_probability, describe_time, write_results_page

__all__ = [
    'PersonSearchInferencer',
    'Persons',
    'Ranking',
    'describe_probability',
    'describe_time',
    'write_results_page',
]
