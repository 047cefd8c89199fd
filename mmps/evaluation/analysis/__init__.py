"""What is behind the figures of a search: by gallery, camera, size, coverage and threshold.

Every function varies one argument of the ranking function and evaluates again, or groups what it
gives query by query; there is no second implementation of ranking or matching.
"""

from mmps.as_json import as_json

from .camera_pairs import CameraPairs, camera_pairs
from .coverage import covered_share
from .gallery_size import GallerySizeCurve, listed_gallery_curve, random_gallery_curve
from .inputs import SearchInputs, search_inputs
from .query_groups import QueryGroups, by_box_height, by_coverage
from .score_sweep import ScoreSweep, score_sweep
from .similarity import (
    OperatingPoint,
    SimilarityCurve,
    operating_point,
    sampled,
    similarity_curve,
    similarity_histogram,
)
from .worst_queries import worst_queries

__all__ = [
    'CameraPairs',
    'GallerySizeCurve',
    'OperatingPoint',
    'QueryGroups',
    'ScoreSweep',
    'SearchInputs',
    'SimilarityCurve',
    'as_json',
    'by_box_height',
    'by_coverage',
    'camera_pairs',
    'covered_share',
    'listed_gallery_curve',
    'operating_point',
    'random_gallery_curve',
    'sampled',
    'score_sweep',
    'search_inputs',
    'similarity_curve',
    'similarity_histogram',
    'worst_queries',
]
