"""Features cached by SeqNet's code, as `evaluate_performance` of its engine.py writes them."""

import pickle
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import mmps
from mmps.datasets import PRWDataset
from mmps.evaluation import Predictions, evaluate_predictions, recorded_searches, search_predictions
from mmps.evaluation.eval_cache import load_eval_cache, predictions_from_eval_cache

DIM = 8


@pytest.fixture(scope='module')
def items(tiny_prw: Path) -> list[dict]:
    dataset = PRWDataset(str(tiny_prw), 'gallery', serialize_data=False, test_mode=True)
    return dataset.data_list


@pytest.fixture
def cache(items: list[dict]) -> dict[str, list[np.ndarray]]:
    return make_cache(items, weighted=True)


def make_cache(items: list[dict], *, weighted: bool) -> dict[str, list[np.ndarray]]:
    """A detection for each annotated person; the second image has none."""
    rng = np.random.default_rng(0)
    cache: dict[str, list[np.ndarray]] = {
        key: []
        for key in ('gallery_dets', 'gallery_feats', 'query_dets', 'query_feats', 'query_box_feats')
    }

    def features(num: int) -> np.ndarray:
        rows = rng.normal(size=(num, DIM)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    for index, item in enumerate(items):
        boxes = np.array([person['bbox'] for person in item['instances']], np.float32)
        boxes = boxes.reshape(-1, 4)[: 0 if index == 1 else None]
        scores = rng.uniform(0.5, 1, len(boxes)).astype(np.float32)
        cache['gallery_dets'].append(np.concatenate([boxes, scores[:, None]], axis=1))
        rows = features(len(boxes))
        cache['gallery_feats'].append(rows * scores[:, None] if weighted else rows)
    queries = sorted((q for item in items for q in item['queries']), key=lambda q: q['query_id'])
    for query in queries:
        # Scaled to the network's input and back, so not exactly the box of the file.
        box = np.array([*query['bbox'], 1.0], np.float32) + np.float32([1e-4, 0, -1e-4, 0, 0])
        other = np.array([0, 0, 5, 9, 0.7], np.float32)
        cache['query_dets'].append(np.stack([box, other]))
        rows = features(2)
        cache['query_feats'].append(rows)
        cache['query_box_feats'].append(rows[:1])
    return cache


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize('weighted', [True, False])
def test_import(items: list[dict], tmp_path: Path, weighted: bool) -> None:
    cache = make_cache(items, weighted=weighted)
    loaded = load_eval_cache(save(tmp_path / 'eval_cache.pth', cache))
    predictions = predictions_from_eval_cache(loaded, items)

    (search,) = recorded_searches(predictions).values()
    assert search.cws is weighted
    assert predictions.image_names.tolist() == [item['img_name'] for item in items]
    counts = [len(dets) for dets in cache['gallery_dets']]
    assert counts[1] == 0 < counts[0]
    assert predictions.det_image.tolist() == np.repeat(np.arange(len(items)), counts).tolist()
    dets = np.concatenate(cache['gallery_dets'])
    np.testing.assert_array_equal(predictions.det_bboxes, dets[:, :4])
    np.testing.assert_array_equal(predictions.det_scores, dets[:, 4])
    np.testing.assert_allclose(np.linalg.norm(predictions.det_embeddings, axis=1), 1, rtol=1e-6)
    assert predictions.gt_pids.tolist() == [p['pid'] for item in items for p in item['instances']]
    assert predictions.query_ids.tolist() == list(range(len(cache['query_box_feats'])))

    # The similarities are those that the authors' code would sort.
    result = search_predictions(predictions, search)
    rows, queries = (
        np.concatenate(cache[key]).astype(np.float32)
        for key in ('gallery_feats', 'query_box_feats')
    )
    similarities = queries @ rows.T
    assert result.ranked_det[:, 0].min() >= 0
    for query, (det, value) in enumerate(
        zip(result.ranked_det, result.ranked_similarity, strict=True)
    ):
        found = det[det >= 0]
        np.testing.assert_allclose(value[: len(found)], similarities[query, found], atol=1e-6)
        others = predictions.det_image != predictions.query_image[query]
        assert value[0] == pytest.approx(similarities[query, others].max(), abs=1e-6)


def test_the_authors_files_are_read_without_pickle(
    cache: dict[str, list[np.ndarray]], tmp_path: Path
) -> None:
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / 'opened'), 'w'))

    path = save(tmp_path / 'eval_cache.pth', {**cache, 'query_feats': Evil()})
    with pytest.raises(ValueError, match=r'eval_cache\.pth is not a readable eval_cache'):
        load_eval_cache(path)
    path.write_bytes(pickle.dumps({**cache, 'query_feats': Evil()}, protocol=2))
    with pytest.raises(ValueError, match=r'eval_cache\.pth is not a readable eval_cache'):
        load_eval_cache(path)
    assert not (tmp_path / 'opened').exists()


def test_half_precision_and_tensors(items: list[dict], tmp_path: Path) -> None:
    cache = make_cache(items, weighted=True)
    cache['gallery_feats'] = [rows.astype(np.float16) for rows in cache['gallery_feats']]
    content = {**cache, 'gallery_dets': [torch.from_numpy(dets) for dets in cache['gallery_dets']]}
    loaded = load_eval_cache(save(tmp_path / 'eval_cache.pth', content))
    predictions = predictions_from_eval_cache(loaded, items)
    assert recorded_searches(predictions)['search'].cws
    assert predictions.det_embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(predictions.det_embeddings, axis=1), 1, rtol=1e-6)


def test_damaged_files(cache: dict[str, list[np.ndarray]], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'none\.pth'):
        load_eval_cache(tmp_path / 'none.pth')
    path = save(tmp_path / 'eval_cache.pth', cache)
    whole = path.read_bytes()
    for size in range(0, len(whole), 64):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r'eval_cache\.pth is not a readable eval_cache'):
            load_eval_cache(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([1, 2], 'has no gallery_dets, gallery_feats, query_dets, query_box_feats'),
        ({'query_box_feats': None}, 'has no query_box_feats'),
        ({'gallery_dets': torch.zeros(3)}, 'gallery_dets is a Tensor, not a list'),
        (
            {'gallery_dets': [np.zeros((2, 4))]},
            r'gallery_dets\[0\] .*\(n, 5\), not float64 \(2, 4\)',
        ),
        ({'gallery_feats': [3]}, r"gallery_feats\[0\] must be a float array .*not <class 'int'>"),
        ({'gallery_feats': [np.zeros((1, 2), int)]}, r'gallery_feats\[0\] .*not int64 \(1, 2\)'),
        ({'query_box_feats': [np.zeros((2, 8))]}, r'query_box_feats\[0\] .*array \(1, D\)'),
    ],
)
def test_contents_that_are_none(
    cache: dict[str, list[np.ndarray]], tmp_path: Path, content: object, message: str
) -> None:
    if isinstance(content, dict):
        merged = {**cache, **content}
        content = {key: value for key, value in merged.items() if value is not None}
    path = save(tmp_path / 'eval_cache.pth', content)
    with pytest.raises(ValueError, match=message) as caught:
        load_eval_cache(path)
    assert str(path) in str(caught.value)


def test_caches_of_other_data(items: list[dict], cache: dict[str, list[np.ndarray]]) -> None:
    def check(message: str, **changes: list[np.ndarray]) -> None:
        with pytest.raises(ValueError, match=message):
            predictions_from_eval_cache({**cache, **changes}, items)

    dets, feats = cache['gallery_dets'], cache['gallery_feats']
    name = items[0]['img_name']
    check(f'gallery_dets has 3 entries, .* the data set has {len(items)}', gallery_dets=dets[:3])
    check('query_box_feats has 0 entries, one for each query', query_box_feats=[])
    check(f"'{name}' has {len(dets[0]) - 1} detections", gallery_dets=[dets[0][1:], *dets[1:]])
    check('query_dets.0. lacks the box', query_dets=cache['query_dets'][::-1])
    check(
        r'gallery_feats\[0\] has 3 columns, expected 8', gallery_feats=[feats[0][:, :3], *feats[1:]]
    )
    check(f"a feature of '{name}' has norm", gallery_feats=[feats[0] * 0.5, *feats[1:]])
    check(f"a feature of '{name}' has norm nan", gallery_feats=[feats[0] * np.nan, *feats[1:]])
    without_queries = [{k: v for k, v in item.items() if k != 'queries'} for item in items]
    with pytest.raises(ValueError, match=f"the item of '{name}' has no queries"):
        predictions_from_eval_cache(cache, without_queries)


@pytest.mark.skipif(
    not (Path(mmps.__file__).parents[1] / 'tools').is_dir(),
    reason='mmps is not run from its repository',
)
def test_tool(
    tiny_prw: Path,
    items: list[dict],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    root = Path(mmps.__file__).parents[1]
    cache = save(tmp_path / 'eval_cache.pth', make_cache(items, weighted=False))

    def run(*arguments: str) -> None:
        options = ['--cfg-options', f'test_dataloader.dataset.data_root={tiny_prw}']
        monkeypatch.setattr(sys, 'argv', ['import_eval_cache.py', *arguments, *options])
        runpy.run_path(str(root / 'tools/analysis_tools/import_eval_cache.py'), run_name='__main__')

    config, out = str(root / 'configs/seqnet_r50_prw.py'), tmp_path / 'predictions.npz'
    run(config, str(cache), str(out))
    assert f'{len(items)} images' in capsys.readouterr().out
    predictions = Predictions.load(out)
    searches = recorded_searches(predictions)
    assert [search.cws for search in searches.values()] == [False] * len(searches)
    assert evaluate_predictions(predictions, searches=searches)['det/recall'] > 0.5
    save(cache, {**make_cache(items, weighted=False), 'query_dets': []})
    with pytest.raises(SystemExit, match=r'error: .*eval_cache\.pth: query_dets has 0 entries'):
        run(config, str(cache), str(tmp_path / 'none.npz'))
    cache.write_bytes(cache.read_bytes()[:100])
    with pytest.raises(SystemExit, match=r'error: .*eval_cache\.pth is not a readable'):
        run(config, str(cache), str(tmp_path / 'none.npz'))
    assert not (tmp_path / 'none.npz').exists()
