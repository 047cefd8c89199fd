from pathlib import Path

import pytest
from command_line import error_of, run, run_json
from mmengine.config import Config

from mmps.apis import PersonSearchInferencer
from mmps.evaluation import Predictions, evaluate_predictions, recorded_settings


@pytest.fixture(scope='module')
def config(tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    tiny_config.dump(path)
    return path


@pytest.fixture(scope='module')
def tested(config: Path, tiny_weights: Path) -> tuple[dict, Path]:
    """What the command says of a model, and the predictions that it kept."""
    out = config.parent / 'kept.npz'
    result = run_json(
        *('evaluate', config, tiny_weights, '--out', out, '--work-dir', config.parent / 'work'),
        *('--cfg-option', 'test_evaluator.topk=[1,3]'),
    )
    assert result['predictions'] == str(out)
    return result['figures'], out


def test_a_model_is_tested(tested: tuple[dict, Path], config: Path, tiny_weights: Path) -> None:
    figures, out = tested
    predictions = Predictions.load(out)
    assert predictions.num_images == 4
    settings = recorded_settings(predictions)
    assert tuple(settings['topk']) == (1, 3)
    assert figures == evaluate_predictions(predictions, **settings)
    assert 'search/top3' in figures
    assert predictions.meta['checkpoint'] == str(tiny_weights)
    model = PersonSearchInferencer(config, tiny_weights, device='cpu')
    assert predictions.meta['model_id'] == model.model_id


def test_predictions_are_evaluated_again(tested: tuple[dict, Path], config: Path) -> None:
    figures, out = tested
    assert run_json('evaluate', out)['figures'] == figures
    table = run('evaluate', out).stdout
    assert f'{100 * figures["det/recall"]:.2f}' in table or f'{figures["det/recall"]:.3f}' in table
    of_config = run_json('evaluate', out, '--config', config)['figures']
    assert of_config['search/top10'] >= of_config['search/top1'] == figures['search/top1']
    assert 'search/top3' not in of_config


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['none.py', 'a.pth'], 'there is no file none.py'),
        (['{config}'], 'give a checkpoint to test'),
        (['{config}', 'none.pth'], 'there is no checkpoint file none.pth'),
        (['{config}', 'none.pth', '--out', 'a.json'], '--out: a.json must end in .npz'),
        (['{config}', 'none.pth', '--config', 'a.py'], '--config goes with predictions'),
        (['{config}', 'none.pth', '--cfg-option', 'topk'], '--cfg-option: topk is not KEY=VALUE'),
        (['{out}', 'none.pth'], 'are predictions already'),
        (['{out}', '--config', 'none.py'], 'there is no config file none.py'),
        (['{out}', '--cfg-option', 'a=1'], '--cfg-option changes a config'),
    ],
)
def test_wrong_calls(
    tested: tuple[dict, Path], config: Path, arguments: list[str], message: str
) -> None:
    filled = [argument.format(config=config, out=tested[1]) for argument in arguments]
    assert message in error_of('evaluate', *filled)
