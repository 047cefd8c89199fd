import copy
import functools
import json
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from mmps.apis import PersonSearchInferencer
from mmps.evaluation import Predictions, Search, search_predictions


@pytest.fixture(scope='module')
def evaluated(
    tiny_config: Config, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Predictions:
    """What the evaluation found on the gallery, in batches of two."""
    config = copy.deepcopy(tiny_config)
    config.work_dir = str(tmp_path_factory.mktemp('evaluated'))
    config.load_from = str(tiny_weights)
    runner = Runner.from_cfg(config)
    runner.test()
    [metric] = runner.test_evaluator.metrics
    return metric.predictions


@pytest.fixture(scope='module')
def inferencer(tiny_weights: Path) -> PersonSearchInferencer:
    """Of the checkpoint alone."""
    return PersonSearchInferencer(
        weights=tiny_weights, device='cpu', score_thr=0.0, show_progress=False
    )


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The files of a folder at an address of this machine alone."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def test_detections_equal_the_evaluations(
    inferencer: PersonSearchInferencer, evaluated: Predictions
) -> None:
    found = inferencer.detect(list(evaluated.image_paths), batch_size=3)
    assert len(found) == evaluated.num_images == 4
    assert len(evaluated.det_image) > 10
    for image, persons in enumerate(found):
        of_image = np.flatnonzero(evaluated.det_image == image)
        order = of_image[np.argsort(-evaluated.det_scores[of_image], kind='stable')]
        np.testing.assert_allclose(persons.scores, evaluated.det_scores[order], atol=1e-5)
        np.testing.assert_allclose(persons.bboxes, evaluated.det_bboxes[order], atol=1e-4)
        np.testing.assert_allclose(persons.embeddings, evaluated.det_embeddings[order], atol=1e-5)


def test_query_embeddings_equal_the_evaluations(
    inferencer: PersonSearchInferencer, evaluated: Predictions
) -> None:
    assert evaluated.num_queries > 0
    for image in np.unique(evaluated.query_image):
        queries = evaluated.query_image == image
        embeddings = inferencer.embed(evaluated.image_paths[image], evaluated.query_bboxes[queries])
        np.testing.assert_allclose(embeddings, evaluated.query_embeddings[queries], atol=1e-5)


def test_rankings_equal_the_evaluations_without_cws(
    inferencer: PersonSearchInferencer, evaluated: Predictions
) -> None:
    num = len(evaluated.det_image)
    plain, weighted = (
        search_predictions(evaluated, Search(cws=cws, score_thr=0.0), num_ranked=num)
        for cws in (False, True)
    )
    for query, image in enumerate(evaluated.query_image):
        gallery = [path for i, path in enumerate(evaluated.image_paths) if i != image]
        ranking = inferencer.search(
            evaluated.image_paths[image], evaluated.query_bboxes[query], gallery, topk=num
        )
        counts = plain.ranked_det[query] >= 0
        det = plain.ranked_det[query, counts]
        assert len(ranking) == len(det) > 10
        found, expected = ranking.as_arrays(), plain.ranked_similarity[query, counts]
        np.testing.assert_allclose(found['similarity'], expected, rtol=0, atol=1e-5)
        assert np.array_equal(found['source'], evaluated.image_paths[evaluated.det_image[det]])
        np.testing.assert_allclose(found['bbox'], evaluated.det_bboxes[det], atol=1e-4)
        assert not np.array_equal(weighted.ranked_det[query, counts], det)


def test_paths_folders_and_arrays_are_one_and_the_same(
    inferencer: PersonSearchInferencer, tiny_prw: Path, tmp_path: Path
) -> None:
    frames = sorted((tiny_prw / 'frames').glob('*.jpg'))[:2]
    folder = tmp_path / 'a folder'
    folder.mkdir()
    for name, frame in zip(['b.JPG', 'a.jpg'], frames, strict=True):
        (folder / name).write_bytes(frame.read_bytes())
    (folder / 'notes.txt').write_text('no image')
    from_folder = inferencer.detect(folder)
    from_arrays = inferencer.detect([cv2.imread(str(frame)) for frame in frames[::-1]])
    with served(tiny_prw / 'frames') as address:
        from_address = inferencer.detect([f'{address}/{frame.name}' for frame in frames[::-1]])
    for one, other, third in zip(from_folder, from_arrays, from_address, strict=True):
        for name in ('bboxes', 'scores', 'embeddings'):
            assert np.array_equal(getattr(one, name), getattr(other, name))
            assert np.array_equal(getattr(one, name), getattr(third, name))
    assert not np.array_equal(from_folder[0].bboxes, from_folder[1].bboxes)


def test_arrays_are_resized_as_files_are_that_are_decoded_smaller(
    tiny_config: Config, tiny_weights: Path, evaluated: Predictions
) -> None:
    config = copy.deepcopy(tiny_config)
    pipeline = config.test_dataloader.dataset.pipeline
    scale = pipeline[1]['scale']
    pipeline[:2] = [dict(type='mmps.LoadResizedImage', scale=scale)]
    at_once = PersonSearchInferencer(config, tiny_weights, device='cpu', score_thr=0.0)
    path = evaluated.image_paths[0]
    [from_path], [from_array] = at_once.detect(path), at_once.detect(cv2.imread(str(path)))
    assert len(from_path) > 0
    np.testing.assert_allclose(from_path.bboxes, from_array.bboxes)
    np.testing.assert_allclose(from_path.embeddings, from_array.embeddings)


def test_persons_are_ordered_and_those_of_low_scores_left_out(
    inferencer: PersonSearchInferencer, tiny_weights: Path, evaluated: Predictions
) -> None:
    [everybody] = inferencer.detect(evaluated.image_paths[0])
    assert (np.diff(everybody.scores) <= 0).all()
    threshold = float(np.median(everybody.scores))
    strict = PersonSearchInferencer(weights=tiny_weights, device='cpu', score_thr=threshold)
    [persons] = strict.detect(evaluated.image_paths[0])
    assert 0 < len(persons) < len(everybody)
    assert np.array_equal(persons.scores, everybody.scores[everybody.scores >= threshold])
    np.testing.assert_allclose(np.linalg.norm(persons.embeddings, axis=1), 1, atol=1e-6)


def test_several_batches_have_a_progress_bar(
    tiny_weights: Path, evaluated: Predictions, capsys: pytest.CaptureFixture[str]
) -> None:
    talking = PersonSearchInferencer(weights=tiny_weights, device='cpu')
    images, query = list(evaluated.image_paths), (evaluated.image_paths[0], [5, 5, 25, 60])

    def shown(work: Callable[[], object]) -> str:
        capsys.readouterr()
        work()
        return capsys.readouterr().out

    assert shown(lambda: talking(images)).startswith('Inference ')
    assert re.match(r'Inference .* 100%', shown(lambda: talking.detect(images, batch_size=3)))
    assert re.match(r'Inference .* 100%', shown(lambda: talking.search(*query, images)))
    assert shown(lambda: talking.detect(images, batch_size=4)) == ''
    talking.show_progress = False
    assert shown(lambda: talking.detect(images)) == ''


def test_the_call_gives_json_and_pictures(
    inferencer: PersonSearchInferencer, evaluated: Predictions, tmp_path: Path
) -> None:
    path = str(evaluated.image_paths[0])
    array = cv2.imread(path)
    results = inferencer([path, array], return_vis=True, out_dir=tmp_path)
    of_path, of_array = results['predictions']
    assert (of_path.pop('img_path'), of_array.pop('img_path')) == (path, None)
    assert of_path == of_array
    [persons] = inferencer.detect(path)
    assert np.array_equal(np.float32(of_path['embeddings']), persons.embeddings)
    saved = json.loads((tmp_path / 'preds' / f'{Path(path).name}.json').read_text())
    assert saved == {'img_path': path, **of_path}
    first, second = results['visualization']
    assert np.array_equal(first, second)
    # Drawn in RGB: where no box is, the picture is the image.
    assert (first == array[..., ::-1]).all(axis=2).mean() > 0.2
    assert (tmp_path / 'vis' / Path(path).name).is_file()


def test_the_model_id_names_weights_and_config(
    inferencer: PersonSearchInferencer, tiny_config: Config, tiny_weights: Path, tmp_path: Path
) -> None:
    def model_id(model: Config, checkpoint: Path = tiny_weights) -> str:
        return PersonSearchInferencer(model, checkpoint, device='cpu').model_id

    def changed(key: str, value: object) -> Config:
        other = copy.deepcopy(tiny_config)
        other.merge_from_dict({key: value})
        return other

    assert len(inferencer.model_id) == 32
    assert model_id(tiny_config) == inferencer.model_id
    # The memory, which only training needs, and the choice of boxes change no embedding.
    assert model_id(changed('model.roi_head.loss_reid.num_persons', 7)) == inferencer.model_id
    assert model_id(changed('model.test_cfg.rcnn.stage2.score_thr', 0.6)) == inferencer.model_id
    assert model_id(changed('model.data_preprocessor.bgr_to_rgb', False)) != inferencer.model_id
    pipeline = copy.deepcopy(tiny_config)
    pipeline.test_dataloader.dataset.pipeline[1]['scale'] = (80, 48)
    assert model_id(pipeline) != inferencer.model_id
    state = torch.load(tiny_weights, weights_only=True)
    stripped = {k: v for k, v in state['state_dict'].items() if 'loss_reid' not in k}
    torch.save({'state_dict': stripped}, tmp_path / 'stripped.pth')
    assert model_id(tiny_config, tmp_path / 'stripped.pth') == inferencer.model_id
    stripped['backbone.stages.0.0.norm.bias'] += 0.001
    torch.save({'state_dict': stripped}, tmp_path / 'other.pth')
    assert model_id(tiny_config, tmp_path / 'other.pth') != inferencer.model_id


def test_what_it_was_made_of_makes_it_again(
    inferencer: PersonSearchInferencer, tiny_weights: Path
) -> None:
    assert inferencer.origin == {'model': None, 'weights': str(tiny_weights)}
    again = PersonSearchInferencer(**inferencer.origin, device='cpu')
    assert again.model_id == inferencer.model_id
    assert again.embed_dim == inferencer.embed_dim == 128


def test_a_config_that_is_no_file(
    inferencer: PersonSearchInferencer, tiny_config: Config, tiny_weights: Path
) -> None:
    settings = ConfigDict(tiny_config.to_dict())
    from_dict = PersonSearchInferencer(settings, tiny_weights, device='cpu')
    assert from_dict.origin == {'model': None, 'weights': str(tiny_weights)}
    assert from_dict.model_id == inferencer.model_id


@pytest.mark.parametrize('precision', ['bfloat16', 'float16'])
def test_half_precision_finds_much_the_same(
    inferencer: PersonSearchInferencer, tiny_weights: Path, evaluated: Predictions, precision: str
) -> None:
    half = PersonSearchInferencer(
        weights=tiny_weights, device='cpu', precision=precision, score_thr=0.0
    )
    query = evaluated.query_image[0]
    box = evaluated.query_bboxes[:1]
    expected = inferencer.embed(evaluated.image_paths[query], box)
    embedding = half.embed(evaluated.image_paths[query], box)
    assert embedding.dtype == np.float32
    assert not np.array_equal(embedding, expected)
    assert float((embedding * expected).sum()) > 0.99
    np.testing.assert_allclose(np.linalg.norm(embedding), 1, atol=1e-3)
    [persons] = half.detect(evaluated.image_paths[query])
    assert persons.scores.dtype == np.float32
    assert len(persons) > 0


def test_a_model_by_its_name() -> None:
    with pytest.warns(UserWarning, match='no weights were given'):
        named = PersonSearchInferencer('oim_r50_prw', device='cpu')
    assert named.embed_dim == 256
    assert named.origin == {'model': 'oim_r50_prw', 'weights': None}
    with pytest.raises(ValueError, match='no weights: give those of oim_r50_prw'):
        _ = named.model_id
    with pytest.raises(ValueError, match=r'oim_r50_prv is neither .*, such as oim_r50_prw'):
        PersonSearchInferencer('oim_r50_prv', device='cpu')


@pytest.mark.parametrize(
    ('box', 'message'),
    [
        ([5, 5, 5, 20], 'the box 5 5 5 20 is not x1 y1 x2 y2'),
        ([[0, 0, 9, 9], [200, 5, 300, 20]], '200 5 300 20 .* which is 160 x 96'),
        ([5, 5, 9], r'shape \(3,\)'),
        ([0, 0, float('nan'), 9], 'the box 0 0 nan 9'),
    ],
)
def test_boxes_that_are_none(
    inferencer: PersonSearchInferencer, evaluated: Predictions, box: list, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        inferencer.embed(evaluated.image_paths[0], box)


def test_images_that_are_none(inferencer: PersonSearchInferencer, tmp_path: Path) -> None:
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(b'\xff\xd8\xff not much of a picture')
    with pytest.raises(ValueError, match=r'cannot be read: .*broken\.jpg'):
        inferencer.detect([broken])
    with pytest.raises(ValueError, match=r'cannot be read: .*missing\.jpg'):
        inferencer.embed(tmp_path / 'missing.jpg', [0, 0, 9, 9])
    with pytest.raises(ValueError, match=r'ssh://a/b\.jpg: MMEngine has no back end'):
        inferencer.detect(['ssh://a/b.jpg'])
    with pytest.raises(ValueError, match=r'got \(5, 5\), float64'):
        inferencer.detect(np.zeros((5, 5)))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='empty: no image'):
        inferencer(tmp_path / 'empty')


def test_models_and_weights_that_are_none(
    tiny_config: Config, tiny_weights: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / 'damaged.pth'
    damaged.write_bytes(tiny_weights.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r'damaged\.pth is no checkpoint'):
        PersonSearchInferencer(tiny_config, damaged)
    with pytest.raises(FileNotFoundError, match='no checkpoint file nothing'):
        PersonSearchInferencer(tiny_config, 'nothing.pth')
    with pytest.raises(FileNotFoundError, match='no config file nothing'):
        PersonSearchInferencer('nothing.py')
    with pytest.raises(ValueError, match='give a model'):
        PersonSearchInferencer()
    with pytest.raises(ValueError, match=r"precision is one of float32, .*, not 'half'"):
        PersonSearchInferencer(tiny_config, tiny_weights, precision='half')
    other = copy.deepcopy(tiny_config)
    other.merge_from_dict({'model.roi_head.embedding_head.dim': 64})
    with pytest.raises(ValueError, match=r'not of this model: .*embedding_head'):
        PersonSearchInferencer(other, tiny_weights, device='cpu')


def test_no_warning_where_all_is_well(tiny_weights: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        PersonSearchInferencer(weights=tiny_weights, device='cpu')
