from pathlib import Path
from types import SimpleNamespace

import mmcv
import pytest
from mmengine.evaluator import Evaluator
from mmengine.visualization import Visualizer

from mmps.engine import SearchVisualizationHook
from mmps.evaluation import PersonSearchMetric, Predictions, make_searches
from mmps.registry import HOOKS
from mmps.visualization import PersonSearchVisualizer


@pytest.fixture
def local_visualizer(request: pytest.FixtureRequest, tmp_path: Path) -> PersonSearchVisualizer:
    """The current visualizer, with a local back end."""
    return PersonSearchVisualizer.get_instance(
        request.node.nodeid, vis_backends=[{'type': 'LocalVisBackend'}], save_dir=str(tmp_path)
    )


@pytest.fixture
def runner(predictions: Predictions) -> SimpleNamespace:
    """What the hook reads of a runner, after an evaluation."""
    metric = PersonSearchMetric()
    metric.predictions = predictions
    evaluator = Evaluator(metric)
    return SimpleNamespace(val_evaluator=evaluator, test_evaluator=evaluator, iter=7)


@pytest.mark.usefixtures('local_visualizer')
def test_hook_sends_searches_to_the_back_ends(runner: SimpleNamespace, tmp_path: Path) -> None:
    hook = HOOKS.build({'type': 'mmps.SearchVisualizationHook', 'num_queries': 2, 'topk': 3})
    hook.after_val_epoch(runner, {})
    hook.after_test_epoch(runner, {})
    pictures = sorted((tmp_path / 'vis_data/vis_image').iterdir())
    assert [path.name for path in pictures] == [
        'test_search_1_0.png',
        'test_search_2_0.png',
        'val_search_1_7.png',
        'val_search_2_7.png',
    ]
    assert mmcv.imread(str(pictures[0])).shape == (320, 4 * 240 + 3 * 8, 3)


@pytest.mark.usefixtures('local_visualizer')
def test_hook_searches_as_the_metric_does(
    runner: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(
        PersonSearchVisualizer, 'add_search', lambda *args, **kwargs: drawn.append(args)
    )
    (metric,) = runner.test_evaluator.metrics
    metric.searches = make_searches(
        {'reid': {'gallery': 'ground_truth'}, 'low': {'score_thr': 0.45}, 'search': {}}
    )
    metric.predictions.det_scores[2:4] = 0.4
    metric.predictions.det_scores[4:6] = 0.48
    SearchVisualizationHook().after_test_epoch(runner)
    found = {Path(result.image).name for *_, results in drawn for result in results}
    assert found == {'c3s1_000003.png'}


@pytest.mark.usefixtures('local_visualizer')
def test_other_processes_draw_nothing(
    runner: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mmengine.dist.utils.is_main_process', lambda: False)
    runner.test_evaluator.metrics[0].predictions = None
    SearchVisualizationHook().after_test_epoch(runner)
    assert not (tmp_path / 'vis_data/vis_image').exists()


@pytest.mark.usefixtures('local_visualizer')
def test_metric_is_required(runner: SimpleNamespace) -> None:
    runner.val_evaluator = Evaluator([])
    with pytest.raises(TypeError, match=r'no mmps\.PersonSearchMetric in the evaluator'):
        SearchVisualizationHook().after_val_epoch(runner)


def test_visualizer_of_persons_is_required(
    runner: SimpleNamespace, request: pytest.FixtureRequest
) -> None:
    Visualizer.get_instance(request.node.nodeid)
    with pytest.raises(TypeError, match=r"type='mmps\.PersonSearchVisualizer'"):
        SearchVisualizationHook().after_test_epoch(runner)
