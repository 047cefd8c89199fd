"""Hook that shows searches in the visualization back ends (TensorBoard, W&B, local files)."""

from collections.abc import Mapping

from mmengine.dist import master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import Visualizer

from mmps.evaluation import PersonSearchMetric, first_detection_search, search_predictions
from mmps.registry import HOOKS
from mmps.visualization import PersonSearchVisualizer, make_examples, spread_queries


@HOOKS.register_module()
class SearchVisualizationHook(Hook):
    """Draw a few searches after every evaluation and send them to the visualizer's back ends.

    The search is the first one among detections that the evaluator's ``mmps.PersonSearchMetric``
    has; the queries are equally spaced from its best to its worst average precision. The config
    needs a visualizer of type ``mmps.PersonSearchVisualizer``.

    Args:
        num_queries: How many searches to draw.
        topk: How many results of each.
    """

    def __init__(self, *, num_queries: int = 8, topk: int = 5) -> None:
        self.num_queries = num_queries
        self.topk = topk

    @master_only
    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Draw searches of a validation."""
        self._draw(runner.val_evaluator, 'val_search', runner.iter)

    @master_only
    def after_test_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Draw searches of a test."""
        # Not `runner.iter`: without training it would build the training loop, and its dataset.
        self._draw(runner.test_evaluator, 'test_search', 0)

    def _draw(self, evaluator: Evaluator, name: str, step: int) -> None:
        visualizer = Visualizer.get_current_instance()
        if not isinstance(visualizer, PersonSearchVisualizer):
            raise TypeError(
                f'SearchVisualizationHook cannot draw with {type(visualizer).__name__}: set '
                "visualizer=dict(type='mmps.PersonSearchVisualizer', ...) in the config."
            )
        metric = next((m for m in evaluator.metrics if isinstance(m, PersonSearchMetric)), None)
        if metric is None or metric.predictions is None:
            raise TypeError(
                'SearchVisualizationHook found no mmps.PersonSearchMetric in the evaluator: add '
                'one, or remove the hook from the config.'
            )
        search = search_predictions(
            metric.predictions, first_detection_search(metric.searches), num_ranked=self.topk
        )
        queries = spread_queries(search.ap, self.num_queries)
        examples = make_examples(metric.predictions, search, queries=queries, topk=self.topk)
        for number, example in enumerate(examples, start=1):
            visualizer.add_search(
                f'{name}_{number}',
                example.image,
                example.bbox,
                example.results,
                title=f'pid {example.pid}, AP {example.average_precision:.2f}',
                step=step,
            )
