"""Pure functions of evaluation: arrays in, figures out."""

from .average_precision import average_precision, count_at_least
from .detection import evaluate_detection
from .matching import overlapping_detections, paired_iou, target_iou_threshold
from .person_search import evaluate_predictions, search_predictions, search_protocol
from .protocol import Protocol, identity_protocol
from .ranking import Matching, Reranker, SearchResult, evaluate_search
from .report import metrics_table

__all__ = [
    'Matching',
    'Protocol',
    'Reranker',
    'SearchResult',
    'average_precision',
    'count_at_least',
    'evaluate_detection',
    'evaluate_predictions',
    'evaluate_search',
    'identity_protocol',
    'metrics_table',
    'overlapping_detections',
    'paired_iou',
    'search_predictions',
    'search_protocol',
    'target_iou_threshold',
]
