import socket

import pytest
from colored_people import ColorModel
from test_server import free_port
from typer.testing import CliRunner

pytest.importorskip('gradio')

import mmps.apis
from mmps.cli.app import app


def serve(*arguments, **environment):
    return CliRunner().invoke(app, ['serve', *map(str, arguments)], env=environment)


def test_serves_until_it_is_interrupted(colored_gallery, monkeypatch):
    loaded = []

    def load(gallery, **settings):
        loaded.append((gallery.root, settings))
        return ColorModel()

    monkeypatch.setattr(mmps.apis, 'load_gallery_model', load)
    port = free_port()
    monkeypatch.setattr('mmps.cli.serve._wait_for_interrupt', lambda: None)
    result = serve(colored_gallery, '--port', port, '--device', 'cpu')
    assert result.exit_code == 0, result.output
    assert f'Serving http://127.0.0.1:{port}/' in result.stdout
    [(root, settings)] = loaded
    assert root == colored_gallery
    assert settings['device'] == 'cpu'


def test_refused_before_a_model_is_loaded(colored_gallery, tmp_path, monkeypatch):
    for arguments, environment, message in [
        ((colored_gallery, '--host', '0.0.0.0'), {}, 'give an access token of at least 16'),
        ((colored_gallery, '--host', '0.0.0.0'), {'MMPS_TOKEN': 'short'}, 'has 5 characters'),
        ((), {}, 'name a gallery'),
        ((tmp_path,), {}, 'no gallery'),
        ((colored_gallery, '--root', tmp_path / 'none'), {}, 'there is no folder'),
    ]:
        result = serve(*arguments, **environment)
        assert result.exit_code == 2, result.output
        assert message in result.stderr, result.stderr


def test_a_port_that_is_taken(colored_gallery, monkeypatch):
    monkeypatch.setattr(mmps.apis, 'load_gallery_model', lambda gallery, **settings: ColorModel())
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        result = serve(colored_gallery, '--port', taken.getsockname()[1])
    assert result.exit_code == 1
    assert 'port' in result.stderr
