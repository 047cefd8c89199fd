"""Datasets and transforms of person search."""

from .prw import PRWDataset
from .transforms import LoadPersonSearchAnnotations, PackPersonSearchInputs

__all__ = ['LoadPersonSearchAnnotations', 'PRWDataset', 'PackPersonSearchInputs']
