"""Pictures of person search: the registered visualizer and the results page."""

from .identity_distribution import draw_identity_distribution
from .metric_curves import MetricCurve, draw_metrics, read_metric
from .person_search_visualizer import PersonSearchVisualizer, RankedResult, pid_color
from .ranking_page import FoundPerson, write_persons_page, write_ranking_page
from .search_examples import SearchExample, make_examples, spread_queries
from .search_page import write_search_page
from .step_breakdown import draw_step_breakdown
from .training_curves import TrainingLog, draw_curves, read_scalars

__all__ = [
    'FoundPerson',
    'MetricCurve',
    'PersonSearchVisualizer',
    'RankedResult',
    'SearchExample',
    'TrainingLog',
    'draw_curves',
    'draw_identity_distribution',
    'draw_metrics',
    'draw_step_breakdown',
    'make_examples',
    'pid_color',
    'read_metric',
    'read_scalars',
    'spread_queries',
    'write_persons_page',
    'write_ranking_page',
    'write_search_page',
]
