"""Datasets and transforms of person search."""

from .coco_person_search import CocoPersonSearchDataset
from .cuhk_sysu import CUHKSYSUDataset
from .loading import LoadImage, LoadResizedImage
from .person_search_dataset import PersonSearchDataset
from .prw import PRWDataset
from .transforms import LoadPersonSearchAnnotations, PackPersonSearchInputs

__all__ = [
    'CUHKSYSUDataset',
    'CocoPersonSearchDataset',
    'LoadImage',
    'LoadPersonSearchAnnotations',
    'LoadResizedImage',
    'PRWDataset',
    'PackPersonSearchInputs',
    'PersonSearchDataset',
]
