"""`tools/analysis_tools/eval_predictions.py`: prediction files evaluated again."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmps
from mmps.evaluation import Predictions, Search, evaluate_predictions

TOOL = Path(mmps.__file__).parents[1] / 'tools' / 'analysis_tools' / 'eval_predictions.py'
pytestmark = pytest.mark.skipif(not TOOL.is_file(), reason='mmps is not run from its repository')
CROSS = dict(type='mmps.prw_protocol', cross_camera=True)


@pytest.fixture
def predictions() -> Predictions:
    """Twelve images of three cameras with four persons each, half of whom were found."""
    rng = np.random.default_rng(3)
    corners = rng.integers(0, 200, (48, 2))
    bboxes = np.hstack([corners, corners + 60]).astype(np.float32)
    image = np.repeat(np.arange(12), 4)
    pids = np.tile(np.arange(4), 12)
    people = rng.normal(size=(4, 3))[pids] + rng.normal(size=(48, 3))
    embeddings = (people / np.linalg.norm(people, axis=1, keepdims=True)).astype(np.float32)
    names = np.array([f'{number}.jpg' for number in range(12)])
    return Predictions(
        image_names=names,
        image_paths=names,
        camera_ids=np.arange(12) % 3,
        sequence_ids=np.arange(12) // 2,
        image_sizes=np.full((12, 2), 300),
        det_image=image[::2],
        det_bboxes=bboxes[::2] + 2,
        det_scores=rng.uniform(0.4, 1, 24),
        det_embeddings=embeddings[::2],
        gt_image=image,
        gt_bboxes=bboxes,
        gt_pids=pids,
        gt_embeddings=embeddings[::-1],
        query_image=image[:8],
        query_bboxes=bboxes[:8],
        query_pids=pids[:8],
        query_ids=np.arange(8),
        query_embeddings=embeddings[:8],
    )


@pytest.fixture
def run(
    predictions: Predictions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """Save the predictions, run the tool on them, give what it printed."""
    main = runpy.run_path(str(TOOL))['main']

    def run(*arguments: object) -> str:
        predictions.save(tmp_path / 'p.npz')
        words = [str(word) for word in (tmp_path / 'p.npz', *arguments)]
        monkeypatch.setattr('sys.argv', [TOOL.name, *words])
        main()
        return capsys.readouterr().out

    return run


def test_figures_are_those_of_the_searches_asked_for(
    run: Callable[..., str], predictions: Predictions
) -> None:
    changed = dict(cws=False, matching='strict', score_thr=0.6)
    options = ['--no-cws', '--matching', 'strict', '--score-thr', '0.6']
    cbgm = dict(k1=5, k2=2)
    expected = evaluate_predictions(
        predictions,
        searches=dict(
            search=Search(**changed),
            search_cbgm=Search(**changed, cbgm=cbgm),
            reid=Search(**changed, gallery='ground_truth'),
            search_cross_camera=Search(**changed, protocol=CROSS),
        ),
    )
    out = run('--json', *options, '--cbgm', 5, 2, '--reid', '--cross-camera')
    assert json.loads(out) == expected
    mean_aps = [value for key, value in expected.items() if key.endswith('mAP')]
    assert len(set(mean_aps)) == 4  # each option matters
    default = evaluate_predictions(predictions)
    assert default['search/mAP'] not in mean_aps
    assert json.loads(run('--json')) == json.loads(run('--json', '--protocol', 'prw')) == default
    assert f'mAP {100 * default["search/mAP"]:6.2f}' in run()


def test_recorded_searches_are_repeated_and_changed(
    run: Callable[..., str], predictions: Predictions
) -> None:
    recorded: dict[str, Any] = dict(cross=dict(protocol=CROSS), reid=dict(gallery='ground_truth'))
    predictions.meta = dict(evaluation=dict(searches=recorded, topk=[2], det_score_thr=0.7))
    searches = {name: Search(**settings) for name, settings in recorded.items()}
    settings: dict[str, Any] = dict(topk=[2], det_score_thr=0.7)
    expected = evaluate_predictions(predictions, searches=searches, **settings)
    assert json.loads(run('--json')) == expected
    # A search among annotated boxes gets no variants.
    figures = json.loads(run('--json', '--cbgm', 5, 2, '--reid'))
    variants = {f'cross_{kind}/{key}' for kind in ('cbgm', 'reid') for key in ('mAP', 'top2')}
    assert figures.keys() - expected.keys() == variants
    assert {key: figures[key] for key in expected} == expected
    predictions.meta = dict(evaluation=dict(searches=dict(search=dict(gallery=1))))
    with pytest.raises(SystemExit, match=r"^error: meta\['evaluation'\]: .*gallery=1"):
        run()


def test_searches_of_a_config(
    run: Callable[..., str], predictions: Predictions, tmp_path: Path
) -> None:
    config = tmp_path / 'config.py'
    config.write_text(
        "test_evaluator = [dict(type='CocoMetric'), dict(type='mmps.PersonSearchMetric',\n"
        '    searches=dict(other=dict(cws=False)), topk=(3,))]\n'
    )
    expected = evaluate_predictions(predictions, searches=dict(other=Search(cws=False)), topk=(3,))
    assert json.loads(run('--json', '--config', config)) == expected
    config.write_text("test_evaluator = dict(type='CocoMetric')\n")
    with pytest.raises(SystemExit, match=r'^error: .*no mmps\.PersonSearchMetric'):
        run('--config', config)


def test_sizes_of_the_gallery(
    run: Callable[..., str], predictions: Predictions, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def protocol(predictions: Predictions, **arguments: Any) -> Any:
        asked.append(arguments)
        return mmps.evaluation.prw_protocol(predictions)

    monkeypatch.setitem(mmps.registry.PROTOCOLS.module_dict, 'cuhk_sysu_protocol', protocol)
    sysu = ('--json', '--protocol', 'cuhk-sysu', '--data-root', 'sysu')
    assert json.loads(run(*sysu)).keys() == evaluate_predictions(predictions).keys()
    figures = json.loads(run(*sysu, '--gallery-size', 50, -1, '--subset', 'Occlusion'))
    names = [key.removesuffix('/mAP') for key in figures if key.endswith('/mAP')]
    assert names == ['search_50', 'search_full', 'search_occlusion']
    assert asked == [
        dict(data_root='sysu', gallery_size=100),
        dict(data_root='sysu', gallery_size=50),
        dict(data_root='sysu', gallery_size=-1),
        dict(data_root='sysu', subset='Occlusion'),
    ]
    with pytest.raises(SystemExit, match=r'^error: --protocol cuhk-sysu .* --data-root'):
        run('--protocol', 'cuhk-sysu')
    with pytest.raises(SystemExit, match=r'^error: --gallery-size goes with'):
        run('--gallery-size', 50)


def test_an_error_is_one_line(
    run: Callable[..., str], predictions: Predictions, tmp_path: Path
) -> None:
    predictions.gt_embeddings = predictions.gt_embeddings[:, :0]
    with pytest.raises(SystemExit, match=r'^error: reid: .*embed_ground_truth=True'):
        run('--reid')
    with pytest.raises(SystemExit, match=r'^error: .*of positive integers'):
        run('--cbgm', 0, 4)
    predictions.det_embeddings[3] = np.nan
    with pytest.raises(SystemExit, match=r"^error: .*p\.npz: det_embeddings\[3\] of image '1\.jpg"):
        run()
    predictions.save = lambda path: path.write_bytes(b'PK')  # type: ignore[method-assign]
    with pytest.raises(SystemExit, match=r'^error: .*p\.npz is not a readable'):
        run()
