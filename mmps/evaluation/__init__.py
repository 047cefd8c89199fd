"""Evaluation: predictions as one exchange format, pure functions on it, MMEngine's metric."""

from .functional import (
    Protocol,
    SearchResult,
    evaluate_detection,
    evaluate_predictions,
    evaluate_search,
    identity_protocol,
    search_predictions,
)
from .metrics import PersonSearchMetric
from .predictions import Predictions

__all__ = [
    'PersonSearchMetric',
    'Predictions',
    'Protocol',
    'SearchResult',
    'evaluate_detection',
    'evaluate_predictions',
    'evaluate_search',
    'identity_protocol',
    'search_predictions',
]
