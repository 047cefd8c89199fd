import os

import pytest

from mmps.web.access import check_access, inside, is_loopback, list_folders

TOKEN = 'a-token-of-20-chars!'


@pytest.mark.parametrize(
    ('host', 'alone'),
    [
        ('127.0.0.1', True),
        ('127.1.2.3', True),
        ('::1', True),
        ('localhost', True),
        ('0.0.0.0', False),
        ('::', False),
        ('192.168.0.7', False),
        ('example.org', False),
        ('127.0.0.1.example.org', False),
    ],
)
def test_only_others_need_a_token(host, alone):
    assert is_loopback(host) == alone
    check_access(host, TOKEN)
    if alone:
        check_access(host, None)
    else:
        with pytest.raises(ValueError, match='give an access token of at least 16'):
            check_access(host, None)


def test_short_tokens():
    for token in ('', '123456789012345'):
        with pytest.raises(ValueError, match=f'has {len(token)} characters, give 16'):
            check_access('127.0.0.1', token)


def test_paths_inside_of_roots(tmp_path):
    root, other = tmp_path / 'root', tmp_path / 'root2'
    for folder in (root / 'videos', other):
        folder.mkdir(parents=True)
    (other / 'secret.jpg').touch()
    assert inside(root / 'videos', [root]) == root / 'videos'
    assert inside(root, [other, root]) == root
    assert inside(root / 'videos' / '..' / 'new.jpg', [root]) == root / 'new.jpg'
    os.symlink(other, root / 'link')
    for path in (
        other,  # begins with the name of the root
        root / '..' / 'root2' / 'secret.jpg',
        root / 'link' / 'secret.jpg',
        tmp_path,
        '/etc/passwd',
        'videos',  # of wherever the server was started
    ):
        with pytest.raises(ValueError, match='not in a folder that this page may read'):
            inside(path, [root])
    with pytest.raises(ValueError, match='not in a folder'):
        inside(root, [])


def test_folders_to_choose_from(tmp_path):
    for folder in ('b/c/d/e', 'a', '.hidden'):
        (tmp_path / folder).mkdir(parents=True)
    os.symlink('/', tmp_path / 'link')
    (tmp_path / 'file.jpg').touch()
    names = [os.path.relpath(folder, tmp_path) for folder in list_folders([tmp_path])]
    assert names == ['.', 'a', 'b', 'b/c', 'b/c/d']
