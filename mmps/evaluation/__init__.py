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
from .protocols import custom_protocol, prw_protocol

__all__ = [
    'PersonSearchMetric',
    'Predictions',
    'Protocol',
    'SearchResult',
    'custom_protocol',
    'evaluate_detection',
    'evaluate_predictions',
    'evaluate_search',
    'identity_protocol',
    'prw_protocol',
    'search_predictions',
]
