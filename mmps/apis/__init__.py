"""For programs that use mmps: an inferencer from images to persons."""

from .inferencer import PersonSearchInferencer
from .persons import Persons

__all__ = ['PersonSearchInferencer', 'Persons']
