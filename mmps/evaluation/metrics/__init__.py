"""Metrics for MMEngine's evaluator."""

from .person_search_metric import PersonSearchMetric, metric_settings

__all__ = ['PersonSearchMetric', 'metric_settings']
