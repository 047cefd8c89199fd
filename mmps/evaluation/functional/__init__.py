"""Pure functions of evaluation: arrays in, figures out."""

from .average_precision import average_precision, precision_at
from .cbgm import cbgm_reranker
from .detection import evaluate_detection
from .matching import overlapping_detections, paired_iou, target_iou_threshold
from .person_search import (
    build_protocol,
    evaluate_predictions,
    search_arguments,
    search_predictions,
)
from .protocol import Protocol, identity_protocol
from .ranking import Matching, Reranker, SearchResult, evaluate_search
from .report import metrics_table
from .search import (
    Search,
    choose_plain_search,
    first_detection_search,
    make_searches,
    recorded_searches,
    recorded_settings,
)

__all__ = [
    'Matching',
    'Protocol',
    'Reranker',
    'Search',
    'SearchResult',
    'average_precision',
    'build_protocol',
    'cbgm_reranker',
    'choose_plain_search',
    'evaluate_detection',
    'evaluate_predictions',
    'evaluate_search',
    'first_detection_search',
    'identity_protocol',
    'make_searches',
    'metrics_table',
    'overlapping_detections',
    'paired_iou',
    'precision_at',
    'recorded_searches',
    'recorded_settings',
    'search_arguments',
    'search_predictions',
    'target_iou_threshold',
]
