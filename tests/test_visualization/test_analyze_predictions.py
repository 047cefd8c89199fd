import json
import re
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mmcv
import numpy as np
import pytest

from mmps.evaluation import Predictions, Search, search_predictions
from mmps.evaluation.analysis import search_inputs
from mmps.evaluation.functional import person_search
from mmps.visualization.analysis_page import Section, write_analysis_page

TOOLS, TOOL = Path(__file__).parents[2] / 'tools', 'analysis_tools/analyze_predictions.py'
PICTURES = [
    'box_height',
    'camera_pairs',
    'coverage',
    'false_alarms',
    'gallery_size',
    'recall_against_search',
    'score_sweep',
    'similarity',
]


def read(out: Path) -> dict:
    return json.loads((out / 'analysis.json').read_text())


def test_every_part(
    tmp_path: Path,
    predictions: Predictions,
    run_tool: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    predictions.save(tmp_path / 'p.npz')
    out = tmp_path / 'out'
    rates = ('--false-alarm-rates', 0.5, 0)
    run_tool(TOOL, tmp_path / 'p.npz', '--out', out, '--sizes', 1, 2, '--topk', 3, *rates)
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == f'Analysis: {out / "index.html"}'
    assert captured.err == ''

    # Person 0: both right before the wrong. Person 1, at 10 degrees, is at 35 degrees in the second
    # scene: behind person 0 there (10) and in the third (20), before its own third scene's (60).
    data = read(out)
    assert data['search']['name'] == 'search'
    assert data['figures'] == pytest.approx({'mAP': (1 + 1 / 3) / 2, 'top1': 0.5})
    sizes = data['by_gallery_size']
    assert sizes['sizes'] == [1, 2]
    # Person 0 is in both other scenes, person 1 in one; beside it there is one wrong detection.
    assert sizes['mean_scenes'] == [1.5, 2]
    assert sizes['mean_ap'] == pytest.approx([(1 + 1 / 2) / 2, (1 + 1 / 3) / 2])
    pairs = data['by_camera_pair']
    assert pairs['cameras'] == [1, 2, 3]
    assert pairs['num_queries'] == [[0, 2, 1], [0, 0, 0], [0, 0, 0]]
    assert pairs['mean_ap'] == [[None, 0.75, 1], [None] * 3, [None] * 3]
    assert data['by_box_height']['low'] == [100]
    assert data['by_box_height']['high'] == [120]
    assert data['by_box_height']['mean_ap'] == pytest.approx([2 / 3])
    assert data['by_occlusion']['num_queries'] == [2, 0, 0, 0, 0]
    assert data['by_detection_score']['recall'] == [1] * 11
    points = data['by_similarity']['at_false_alarm_rate']
    # Of five wrong pairs two pass; the three right ones are at 10, 20 and 25 degrees.
    assert points['0.5']['false_alarms_per_query'] == 1
    assert points['0']['false_alarm_rate'] == 0
    assert points['0']['recall'] == 0
    assert data['worst_queries'][0] == {
        'query_id': 1,
        'image': 'c1s1_000001.png',
        'pid': 1,
        'ap': pytest.approx(1 / 3),
        'num_targets': 1,
        'num_found': 1,
    }

    html = (out / 'index.html').read_text()
    assert sorted(re.findall(r'images/(\w+)\.png', html)) == PICTURES
    for name in PICTURES:
        picture = mmcv.imread(str(out / f'images/{name}.png'), flag='unchanged')
        assert (picture[..., 3] > 0).mean() > 0, name
    assert '<a href="worst/index.html">' in html
    worst = (out / 'worst/index.html').read_text()
    assert re.findall(r'<span>person (\d)', worst) == ['1', '0']
    assert 'the worst first' in worst


def test_without_scenes_and_with_one_camera(
    tmp_path: Path,
    predictions: Predictions,
    run_tool: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    predictions.camera_ids[:] = 1
    predictions.save(tmp_path / 'p.npz')
    (tmp_path / 'frames').rename(tmp_path / 'moved')
    run_tool(TOOL, tmp_path / 'p.npz', '--out', tmp_path / 'out')
    assert 'left out: Camera pairs need the scenes of two cameras' in capsys.readouterr().err
    data = read(tmp_path / 'out')
    assert data['by_camera_pair'].keys() == {'left_out'}
    assert data['by_gallery_size']['sizes'] == [2]
    html = (tmp_path / 'out/index.html').read_text()
    assert 'No pictures: Scene image' in html
    assert 'two cameras or more, there are 1' in html
    assert 'worst/index.html' not in html
    run_tool(TOOL, tmp_path / 'p.npz', '--out', tmp_path / 'out', '--data-root', tmp_path / 'moved')
    assert 'worst/index.html' in (tmp_path / 'out/index.html').read_text()


def test_the_search_is_one_of_those_recorded(
    tmp_path: Path,
    predictions: Predictions,
    run_tool: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictions.meta = {
        'evaluation': {
            'searches': {
                'context': {'cbgm': {'k1': 3, 'k2': 2}},
                'reid': {'gallery': 'ground_truth'},
                'sure': {'score_thr': 0.9, 'matching': 'strict'},
                'other': {'cws': False},
            }
        }
    }
    predictions.det_scores[3] = 0.8
    file, out = tmp_path / 'p.npz', tmp_path / 'out'
    predictions.save(file)
    tool = runpy.run_path(str(TOOLS / TOOL))
    for name, expected, mean_ap in ((None, 'sure', 0.5), ('other', 'other', 2 / 3)):
        arguments = [] if name is None else ['--search', name]
        monkeypatch.setattr('sys.argv', [TOOL, str(file), '--out', str(out), *arguments])
        case = tool['make_case'](tool['parse_args']())
        assert case.name == expected
        assert case.result.summary()['mAP'] == pytest.approx(mean_ap)
    assert case.search == Search(cws=False)
    for name, message in (
        ('context', 'choose one without cbgm'),
        ('reid', "with gallery='detections'"),
        ('none', r"There is no search 'none'; recorded are context, reid"),
    ):
        with pytest.raises(SystemExit, match=f'^error: .*{message}'):
            run_tool(TOOL, file, '--out', out, '--search', name)
    del predictions.meta['evaluation']['searches']['sure']
    del predictions.meta['evaluation']['searches']['other']
    predictions.save(file)
    with pytest.raises(SystemExit, match=r'^error: No plain search among detections'):
        run_tool(TOOL, file, '--out', out)


@pytest.mark.filterwarnings('error')
def test_nothing_detected_or_nothing_to_find(
    tmp_path: Path, predictions: Predictions, run_tool: Callable[..., None]
) -> None:
    file, out = tmp_path / 'p.npz', tmp_path / 'out'
    names = [f'det_{name}' for name in ('image', 'bboxes', 'scores', 'embeddings')]
    nothing = replace(predictions, **{name: getattr(predictions, name)[:0] for name in names})
    nothing.save(file)
    run_tool(TOOL, file, '--out', out, '--topk', 1)
    data = read(out)
    assert data['by_gallery_size']['mean_ap'] == [0]
    assert data['by_detection_score']['recall'] == [0] * 11
    assert data['by_similarity']['curve']['recall'] == []
    assert data['by_similarity']['at_false_alarm_rate']['0.001']['recall'] == 0
    assert [query['num_found'] for query in data['worst_queries']] == [0, 0]

    # Persons who are in no scene: queries whose targets nothing could find.
    replace(predictions, query_pids=np.array([5, 6])).save(file)
    run_tool(TOOL, file, '--out', out, '--topk', 1)
    data = read(out)
    assert data['worst_queries'] == []
    assert 'worst/index.html' not in (out / 'index.html').read_text()
    assert data['by_box_height']['found'] == [None]
    assert data['by_camera_pair']['num_queries'] == [[0] * 3] * 3
    assert 'The 0 queries' in (out / 'index.html').read_text()


def test_bad_input_is_one_line(
    tmp_path: Path, predictions: Predictions, run_tool: Callable[..., None]
) -> None:
    file, out = tmp_path / 'p.npz', tmp_path / 'out'
    tmp_path.joinpath('taken').touch()
    predictions.save(file)
    with pytest.raises(SystemExit, match=r'^error: .*Not a directory: .*taken/images'):
        run_tool(TOOL, file, '--out', tmp_path / 'taken')
    file.unlink()
    with pytest.raises(SystemExit, match=r'^error: No prediction file'):
        run_tool(TOOL, file, '--out', out)
    file.write_bytes(b'PK')
    with pytest.raises(SystemExit, match=r'^error: .*not a readable prediction file'):
        run_tool(TOOL, file, '--out', out)
    names = [f'query_{name}' for name in ('image', 'bboxes', 'pids', 'ids', 'embeddings')]
    replace(predictions, **{name: getattr(predictions, name)[:0] for name in names}).save(file)
    with pytest.raises(SystemExit, match=r'^error: There are no queries'):
        run_tool(TOOL, file, '--out', out)
    for wrong in (('--queries', 0), ('--sizes', 5, 0), ('--false-alarm-rates', 2)):
        with pytest.raises(SystemExit, match='2'):
            run_tool(TOOL, file, '--out', out, *wrong)
    assert not out.exists()


def test_a_protocol_of_some_queries(
    predictions: Predictions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inputs and predictions are of the protocol's queries alone, in its order."""
    build = person_search.build_protocol

    def last_first(settings, everything):
        protocol = build(settings, everything)
        return replace(
            protocol,
            target_indptr=np.array([0, 2]),  # any two targets: of the query left
            target_indices=protocol.target_indices[-2:],
            own_image=protocol.own_image[[1]],
            queries=np.array([1]),
        )

    monkeypatch.setattr(person_search, 'build_protocol', last_first)
    reduced, inputs = search_inputs(predictions, Search())
    assert reduced.query_ids.tolist() == [1]
    np.testing.assert_array_equal(inputs.query_embeddings, predictions.query_embeddings[[1]])
    whole = search_predictions(predictions, Search())
    assert inputs.evaluate().ap.tolist() == whole.ap.tolist()


def test_page_escapes_what_it_is_given(tmp_path: Path) -> None:
    evil = '<b>&"'
    section = Section(evil, evil, header=(evil, evil), rows=[(evil, evil)], more=evil)
    page = write_analysis_page(tmp_path, [section], title=evil, facts={evil: evil})
    html = page.read_text()
    assert '<b>' not in html
    assert html.count('&lt;b&gt;&amp;&quot;') == 11
