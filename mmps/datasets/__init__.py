"""Datasets and transforms of person search."""

from .person_search_dataset import PersonSearchDataset
from .prw import PRWDataset
from .transforms import LoadPersonSearchAnnotations, PackPersonSearchInputs

__all__ = [
    'LoadPersonSearchAnnotations',
    'PRWDataset',
    'PackPersonSearchInputs',
    'PersonSearchDataset',
]
