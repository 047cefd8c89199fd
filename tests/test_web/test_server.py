import contextlib
import json
import os
import socket
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

import pytest
from colored_people import ColorModel

pytest.importorskip('gradio')

from mmps.web import server

TOKEN = 'only-for-this-test-1'


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Visitor:
    """A browser without pictures: keeps cookies, speaks HTTP."""

    def __init__(self, address):
        self.address = address
        self.open = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        ).open

    def ask(self, path, data=None, **headers):
        request = urllib.request.Request(self.address + path, data=data, headers=headers)
        try:
            with self.open(request, timeout=20) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with contextlib.closing(error):
                return error.code, error.read()

    def log_in(self, password):
        form = urllib.parse.urlencode({'username': 'me', 'password': password})
        return self.ask('login', form.encode())[0]

    def upload(self, content, *, name='a.png'):
        body = (
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n'
            b'Content-Type: image/png\r\n\r\n%s\r\n--x--\r\n' % (name.encode(), content)
        )
        kind = {'Content-Type': 'multipart/form-data; boundary=x'}
        return self.ask('gradio_api/upload', body, **kind)


@pytest.fixture(scope='module')
def address(colored_gallery):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, 'MAX_BYTES', 10_000)
        with server.serving([colored_gallery], ColorModel(), port=free_port(), token=TOKEN) as url:
            yield url


def test_nothing_without_the_token(address, colored_scenes):
    stranger = Visitor(address)
    status, page = stranger.ask('')
    assert status == 200
    assert b'"auth_required":true' in page.replace(b' ', b'')
    assert b'street' not in page
    assert stranger.ask('config')[0] == 401
    assert stranger.upload(b'x')[0] == 401
    assert stranger.ask('gradio_api/queue/data?session_hash=abc')[0] == 401
    assert stranger.ask(f'gradio_api/file={colored_scenes["gate/0.png"]}')[0] == 401
    for wrong in ('', TOKEN[:-1], TOKEN + 'x', 'Only-for-this-test-1'):
        assert stranger.log_in(wrong) in (400, 422), wrong
    assert stranger.ask('config')[0] == 401
    assert stranger.log_in(TOKEN) == 200
    assert stranger.ask('config')[0] == 200


def test_files_and_uploads(address, colored_scenes, colored_gallery):
    user = Visitor(address)
    user.log_in(TOKEN)
    for path in (
        '/etc/passwd',
        colored_scenes['gate/0.png'],
        colored_gallery / 'gallery.json',
        'pyproject.toml',
        os.path.abspath('pyproject.toml'),
        f'{os.environ["GRADIO_TEMP_DIR"]}/../../etc/passwd',
    ):
        assert user.ask(f'gradio_api/file={path}')[0] in (403, 404), path
    status, answer = user.upload(b'x' * 9_000, name='../../evil.png')
    assert status == 200
    [stored] = json.loads(answer)
    assert os.path.realpath(stored).startswith(os.environ['GRADIO_TEMP_DIR'])
    assert user.upload(b'x' * 20_000)[0] == 413
    # Functions of the page cannot be called by name, and files elsewhere not be handed to them.
    config = json.loads(user.ask('config')[1])
    assert {event['api_visibility'] for event in config['dependencies']} == {'private'}
    [uploading] = [
        event['id']
        for event in config['dependencies']
        if 'upload' in [name for _, name in event['targets']]
    ]
    scene = colored_scenes['gate/0.png']
    [mine] = json.loads(user.upload(scene.read_bytes())[1])
    for path, taken in [(mine, True), ('/etc/passwd', False), (str(scene), False)]:
        call = {
            'data': [{'path': path, 'meta': {'_type': 'gradio.FileData'}}],
            'fn_index': uploading,
            'session_hash': 'abc',
        }
        kind = {'Content-Type': 'application/json'}
        user.ask('gradio_api/queue/join', json.dumps(call).encode(), **kind)
        events = user.ask('gradio_api/queue/data?session_hash=abc')[1].decode()
        assert ('2 people were detected' in events) == taken, path
        assert ('"success":true' in events) == taken, path
        assert os.path.exists(path) != taken, 'what was uploaded is deleted, nothing else'


def test_only_names_of_this_machine(address):
    port = address.rsplit(':')[-1].strip('/')
    visitor = Visitor(address)
    assert visitor.ask('', Host=f'localhost:{port}')[0] == 200
    assert visitor.ask('', Host='evil.example')[0] == 400


def test_nothing_is_asked_of_other_servers(address):
    user = Visitor(address)
    user.log_in(TOKEN)
    page = user.ask('')[1].decode()
    assert 'fonts.g' not in page
    config = json.loads(user.ask('config')[1])
    assert config['analytics_enabled'] is False
    assert not [url for url in config['stylesheets'] if '//' in url]


def test_bad_arguments(colored_gallery, tmp_path):
    model = ColorModel()
    for arguments, message in [
        (dict(galleries=[colored_gallery], host='0.0.0.0'), 'give an access token'),
        (dict(galleries=[colored_gallery], token='short'), 'has 5 characters, give 16'),
        (dict(galleries=[]), 'name a gallery, or by --root'),
        (dict(galleries=[colored_gallery, colored_gallery]), 'another gallery street'),
        (dict(galleries=[tmp_path]), 'no gallery'),
    ]:
        with (
            pytest.raises(ValueError, match=message),
            server.serving(**arguments, inferencer=model, port=free_port()),
        ):
            pass
