import json
import re
from collections.abc import Callable
from pathlib import Path

import mmcv
import numpy as np
import pytest

from mmps.evaluation import Predictions, search_predictions
from mmps.visualization import (
    PersonSearchVisualizer,
    TrainingLog,
    make_examples,
    write_search_page,
)

TOOL = 'analysis_tools/results_page.py'
CURVE = ([1.0, 2.0], [3.0, 4.0])


def links(html: str) -> set[str]:
    return set(re.findall(r'(?:src|href)="([^"]*)"', html))


def write(
    folder: Path, predictions: Predictions, visualizer: PersonSearchVisualizer, **changes
) -> str:
    """Write a page with two searches and give its HTML."""
    search = search_predictions(predictions, num_ranked=3)
    arguments: dict = {
        'title': 'A page',
        'facts': {'data set': 'PRW'},
        'metrics': {
            'trained': {'det/AP': 0.9, 'search/mAP': 0.625},
            'untrained': {'det/AP': 0.01},
        },
        'selection': 'chosen <by hand>',
        'log': TrainingLog({'loss': CURVE, 'lr': CURVE}, {'search/mAP': CURVE}, by_epoch=True),
    }
    page = write_search_page(
        folder,
        make_examples(predictions, search, queries=np.array([1, 0]), topk=3),
        visualizer,
        **{**arguments, **changes},
    )
    assert page == folder / 'index.html'
    return page.read_text(encoding='utf-8')


def test_page_has_all_parts(
    tmp_path: Path, predictions: Predictions, visualizer: PersonSearchVisualizer
) -> None:
    html = write(tmp_path / 'page', predictions, visualizer)
    assert '<h1>A page</h1>' in html
    assert 'data set: PRW' in html
    assert re.findall(r'<th scope="col">(\w+)</th>', html) == ['trained', 'untrained']
    assert re.findall(r'<td [^>]*>([^<]*)</td>', html) == ['0.900', '0.010', '0.625', '&ndash;']
    assert html.count('class="is-right"') == 3
    assert html.count('class="is-wrong"') == 3
    assert html.count('not in this scene') == 1
    assert 'in 2 gallery scenes' in html
    assert '2 queries, chosen &lt;by hand&gt;.' in html
    assert re.findall(r'<span>person (\d)', html) == ['1', '0'], 'in the order of the queries'


def test_every_link_is_relative_and_leads_to_a_picture(
    tmp_path: Path, predictions: Predictions, visualizer: PersonSearchVisualizer
) -> None:
    html = write(tmp_path / 'page', predictions, visualizer)
    found = links(html)
    # Three curves; of each query its tile, its scene and three results.
    assert len(found) == 3 + 2 * 5
    for link in found:
        assert re.fullmatch(r'images/[\w.]+', link)
        assert mmcv.imread(str(tmp_path / 'page' / link)) is not None
    assert len(list((tmp_path / 'page/images').iterdir())) == len(found)
    images = re.findall(r'<img [^>]*>', html)
    assert all(re.search(r'alt="[^"]+"', image) for image in images)


def test_names_are_escaped(
    tmp_path: Path, predictions: Predictions, visualizer: PersonSearchVisualizer
) -> None:
    evil = '<script>&"'
    html = write(
        tmp_path,
        predictions,
        visualizer,
        title=evil,
        facts={evil: evil},
        metrics={evil: {evil: 0.5}},
    )
    assert '<script>' not in html
    assert html.count('&lt;script&gt;&amp;&quot;') == 6


def test_page_without_log_or_queries(
    tmp_path: Path, predictions: Predictions, visualizer: PersonSearchVisualizer
) -> None:
    page = write_search_page(
        tmp_path,
        [],
        visualizer,
        title='t',
        facts={},
        metrics={'m': {'det/AP': 0.5}},
        selection='best first',
    )
    html = page.read_text()
    assert 'no queries' in html
    assert 'Training' not in html
    assert not links(html)


def test_tool(
    tmp_path: Path,
    predictions: Predictions,
    run_tool: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    searches = {'search': {'score_thr': 0.5, 'cws': True}}
    predictions.meta = {'evaluation': {'searches': searches, 'topk': [1, 3]}}
    predictions.save(tmp_path / 'trained.npz')
    predictions.det_scores[3] = 0
    predictions.save(tmp_path / 'untrained.npz')
    log = tmp_path / 'scalars.json'
    log.write_text(json.dumps({'loss': 1.0, 'lr': 0.1, 'epoch': 1, 'iter': 5, 'step': 5}))
    config = tmp_path / 'my_config.py'
    config.write_text(
        "visualizer = dict(type='mmps.PersonSearchVisualizer', tile_size=(90, 120),\n"
        f"    name='{tmp_path}', vis_backends=[dict(type='LocalVisBackend')])\n"
    )
    (tmp_path / 'frames').rename(tmp_path / 'moved')
    out = tmp_path / 'page'
    arguments = [tmp_path / 'trained.npz', '--out', out, '--queries', 2, '--topk', 2]

    with pytest.raises(SystemExit, match=r'^error: Scene image .*c\ds1_\d+\.png is missing'):
        run_tool(TOOL, *arguments)

    arguments += ['--data-root', tmp_path / 'moved', '--log', log, '--config', config]
    run_tool(TOOL, *arguments, '--baseline', tmp_path / 'untrained.npz')
    assert capsys.readouterr().out == f'Results page: {out / "index.html"}\n'
    html = (out / 'index.html').read_text()
    assert re.findall(r'<th scope="col">(\w+)</th>', html) == ['trained', 'untrained']
    assert 'my_config' in html
    assert 'equally spaced over all queries' in html
    assert re.findall(r'</span> (top\d+)</th>', html) == ['top1', 'top3']
    assert 'Total loss' in html
    assert mmcv.imread(str(out / 'images/query_01_result_2.jpg')).shape == (120, 90, 3)


def test_tool_refuses_a_baseline_of_other_data(
    tmp_path: Path, predictions: Predictions, run_tool: Callable[..., None]
) -> None:
    predictions.save(tmp_path / 'a.npz')
    predictions.query_ids += 1
    predictions.save(tmp_path / 'b.npz')
    with pytest.raises(SystemExit, match='differ in query_ids'):
        run_tool(TOOL, tmp_path / 'a.npz', '--out', tmp_path, '--baseline', tmp_path / 'b.npz')


def test_tool_refuses_another_visualizer(
    tmp_path: Path, predictions: Predictions, run_tool: Callable[..., None]
) -> None:
    predictions.save(tmp_path / 'a.npz')
    config = tmp_path / 'config.py'
    config.write_text('model = dict()\n')
    with pytest.raises(SystemExit, match=r'must be of type mmps\.PersonSearchVisualizer'):
        run_tool(TOOL, tmp_path / 'a.npz', '--out', tmp_path, '--config', config)
