"""Datasets and transforms of person search."""

from .coco_person_search import CocoPersonSearchDataset
from .person_search_dataset import PersonSearchDataset
from .prw import PRWDataset
from .transforms import LoadPersonSearchAnnotations, PackPersonSearchInputs

__all__ = [
    'CocoPersonSearchDataset',
    'LoadPersonSearchAnnotations',
    'PRWDataset',
    'PackPersonSearchInputs',
    'PersonSearchDataset',
]
