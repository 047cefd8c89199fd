"""Evaluation: predictions as one exchange format, pure functions on it, MMEngine's metric."""

from .eval_cache import load_eval_cache, predictions_from_eval_cache
from .functional import (
    Protocol,
    Search,
    SearchResult,
    build_protocol,
    cbgm_reranker,
    choose_plain_search,
    evaluate_detection,
    evaluate_predictions,
    evaluate_search,
    first_detection_search,
    identity_protocol,
    make_searches,
    recorded_searches,
    recorded_settings,
    search_arguments,
    search_predictions,
)
from .metrics import PersonSearchMetric
from .predictions import Predictions
from .protocols import cuhk_sysu_protocol, custom_protocol, prw_protocol

__all__ = [
    'PersonSearchMetric',
    'Predictions',
    'Protocol',
    'Search',
    'SearchResult',
    'build_protocol',
    'cbgm_reranker',
    'choose_plain_search',
    'cuhk_sysu_protocol',
    'custom_protocol',
    'evaluate_detection',
    'evaluate_predictions',
    'evaluate_search',
    'first_detection_search',
    'identity_protocol',
    'load_eval_cache',
    'make_searches',
    'predictions_from_eval_cache',
    'prw_protocol',
    'recorded_searches',
    'recorded_settings',
    'search_arguments',
    'search_predictions',
]
