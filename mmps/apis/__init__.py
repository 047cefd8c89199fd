"""For programs that use mmps: an inferencer from images to persons."""

from .gallery_model import load_gallery_model
from .images import read_image
from .inferencer import PersonSearchInferencer
from .persons import Persons
from .ranking import Ranking
from .results_page import describe_probability, write_results_page

__all__ = [
    'PersonSearchInferencer',
    'Persons',
    'Ranking',
    'describe_probability',
    'load_gallery_model',
    'read_image',
    'write_results_page',
]
