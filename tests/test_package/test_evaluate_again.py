"""`tools/test.py --out` and `--predictions`: kept predictions evaluated without a model."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config

import mmps
from mmps.apis.testing import keep_predictions
from mmps.evaluation import PersonSearchMetric, Predictions

ROOT = Path(mmps.__file__).parents[1]
pytestmark = pytest.mark.skipif(
    not (ROOT / 'tools').is_dir(), reason='mmps is not run from its repository'
)
CONFIG = """
model = dict(type='NotThere', test_cfg=dict(rcnn=dict(fcs=False)))
test_evaluator = dict(
    type='mmps.PersonSearchMetric',
    searches=dict(cross=dict(protocol=dict(type='mmps.prw_protocol', cross_camera=True))),
    topk=(2,),
    dump='never_written.npz',
)
"""


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Run `tools/test.py` with arguments, in a folder with a config and predictions."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'config.py').write_text(CONFIG)
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))

    def run(*arguments: str) -> None:
        monkeypatch.setattr('sys.argv', ['test.py', *arguments])
        runpy.run_path(str(ROOT / 'tools' / 'test.py'), run_name='__main__')

    return run


def save_predictions() -> None:
    """Two images of two cameras; the person of the query is found among two detections."""
    box = [[0, 0, 10, 20]]
    Predictions(
        image_names=np.array(['a.jpg', 'b.jpg']),
        image_paths=np.array(['a.jpg', 'b.jpg']),
        camera_ids=np.array([1, 2]),
        sequence_ids=np.array([-1, -1]),
        image_sizes=np.array([[100, 200], [100, 200]]),
        det_image=np.array([1, 1]),
        det_bboxes=np.array([[50.0, 0, 60, 20], *box]),
        det_scores=np.array([0.9, 0.8]),
        det_embeddings=np.array([[1.0, 0], [0.6, 0.8]]),
        gt_image=np.array([0, 1]),
        gt_bboxes=np.array(box * 2, float),
        gt_pids=np.array([3, 3]),
        gt_embeddings=np.zeros((2, 0)),
        query_image=np.array([0]),
        query_bboxes=np.array(box, float),
        query_pids=np.array([3]),
        query_ids=np.array([0]),
        query_embeddings=np.array([[1.0, 0]]),
    ).save('p.npz')


def test_predictions_are_evaluated_as_the_config_says(
    tool: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    evaluate = PersonSearchMetric.evaluate_predictions
    monkeypatch.setattr(
        PersonSearchMetric,
        'evaluate_predictions',
        lambda *args: results.append(evaluate(*args)),
    )
    save_predictions()
    tool('config.py', '--predictions', 'p.npz')
    tool(
        *('config.py', '--predictions', 'p.npz'),
        *('--cfg-options', 'test_evaluator.searches.cross.score_thr=0.85'),
    )
    det = {'det/recall': 0.5, 'det/AP': 0.25}
    assert results == [
        pytest.approx({**det, 'cross/mAP': 0.5, 'cross/top2': 1}),
        pytest.approx({**det, 'cross/mAP': 0, 'cross/top2': 0}),
    ]
    assert not Path('never_written.npz').exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'give a checkpoint to test, or --predictions'),
        (['config.py', '--predictions', 'p.npz'], 'leave out the checkpoint'),
        (['--predictions', 'p.npz', '--out', 'q.npz'], 'leave out the checkpoint, --out'),
        (['--predictions', 'p.npz', '--show'], '--show'),
        (['config.py', '--out', 'q.npz'], r'--out: .*no mmps\.PersonSearchMetric'),
    ],
)
def test_wrong_arguments_are_one_line(
    tool: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    Path('config.py').write_text(CONFIG.replace('mmps.PersonSearchMetric', 'CocoMetric'))
    with pytest.raises(SystemExit, match='2'):
        tool('config.py', *arguments)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('test.py: error: ')
    assert re.search(message, last)


def test_wrong_predictions_are_one_line(tool: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match=r'^error: No prediction file p\.npz'):
        tool('config.py', '--predictions', 'p.npz')
    save_predictions()
    Path('p.npz').write_bytes(Path('p.npz').read_bytes()[:640])
    with pytest.raises(SystemExit, match=r'^error: p\.npz is not a readable prediction file'):
        tool('config.py', '--predictions', 'p.npz')
    Path('config.py').write_text(CONFIG.replace('mmps.PersonSearchMetric', 'CocoMetric'))
    with pytest.raises(SystemExit, match=r'^error: .*no mmps\.PersonSearchMetric'):
        tool('config.py', '--predictions', 'p.npz')


def test_what_is_kept_says_of_which_model_it_is(tool: Callable[..., None]) -> None:
    cfg = Config.fromfile('config.py')
    cfg.test_evaluator['meta'] = dict(note='mine')
    keep_predictions(cfg, 'epoch_18.pth', Path('out.npz'))
    settings: dict[str, Any] = cfg.test_evaluator
    assert settings.pop('type') == 'mmps.PersonSearchMetric'
    metric = PersonSearchMetric(**settings)
    assert metric.dump == 'out.npz'
    assert {key: metric.meta[key] for key in ('note', 'config', 'checkpoint', 'test_cfg')} == {
        'note': 'mine',
        'config': 'config.py',
        'checkpoint': 'epoch_18.pth',
        'test_cfg': {'rcnn': {'fcs': False}},
    }
