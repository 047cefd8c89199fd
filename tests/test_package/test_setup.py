"""The set-up script and the command line of the tools, as far as they go without installing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mmps

ROOT = Path(mmps.__file__).parents[1]
USED_BY_SETUP = ['awk', 'bash', 'cat', 'df', 'dirname', 'grep', 'sed', 'tail']

pytestmark = pytest.mark.skipif(
    not (ROOT / 'tools/env/setup.sh').is_file(), reason='mmps is not run from its repository'
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the script reads of a repository that was not set up yet."""
    clone = tmp_path / 'clone'
    for name in ('tools/env', 'mmps/version.py', 'pyproject.toml'):
        source, target = ROOT / name, clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    return clone


def run_setup(clone: Path, commands: list[str], python: str) -> subprocess.CompletedProcess:
    """Run it with a PATH that holds nothing but these commands."""
    path = clone.parent / 'bin'
    path.mkdir()
    for command in commands:
        found = shutil.which(command)
        if found is None:
            pytest.skip(f'{command} is not on this machine')
        (path / command).symlink_to(found)
    return subprocess.run(
        ['bash', str(clone / 'tools/env/setup.sh')],
        env={'PATH': str(path), 'PYTHON': python, 'HOME': str(clone)},
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(
    sys.version_info[:2] not in ((3, 11), (3, 12)), reason='the set-up takes Python 3.11 or 3.12'
)
@pytest.mark.parametrize('missing', ['gcc', 'g++'])
def test_setup_names_a_missing_compiler_in_one_line(missing: str, clone: Path) -> None:
    compilers = [c for c in ('gcc', 'g++') if c != missing]
    result = run_setup(clone, [*USED_BY_SETUP, *compilers], sys.executable)
    assert result.returncode == 1
    assert (
        result.stderr
        == f'setup: error: {missing} is missing; install it, e.g. apt install {missing}\n'
    )
    assert result.stdout == ''
    assert not (clone / '.venv').exists()


def test_setup_names_a_missing_python_in_one_line(clone: Path) -> None:
    result = run_setup(clone, USED_BY_SETUP, 'no-such-python')
    assert result.returncode == 1
    assert result.stderr.startswith('setup: error: no Python 3.11 (or 3.12) found')
    assert result.stderr.count('\n') == 1


def test_packages_outside_a_virtual_environment_are_left_alone() -> None:
    base = Path(sys.base_prefix, 'bin', 'python3')
    if not base.is_file():
        pytest.skip('no base interpreter beside this environment')
    result = subprocess.run(
        [base, ROOT / 'tools/env/forget_broken.py'], capture_output=True, text=True
    )
    assert result.returncode == 1
    assert 'virtual environment' in result.stderr


def test_incomplete_packages_are_recognised(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(ROOT / 'tools/env')
    from forget_broken import is_whole

    metadata = tmp_path / 'thing-1.0.dist-info'
    metadata.mkdir()
    (metadata / 'METADATA').write_text('Name: thing\nVersion: 1.0\n')
    assert not is_whole(metadata), 'without a record'
    module = tmp_path / 'thing.py'
    module.write_text('x = 1\n')
    (metadata / 'RECORD').write_text('thing.py,,6\n__pycache__/thing.cpython-311.pyc,,\n')
    assert is_whole(metadata)
    module.write_text('x =')
    assert not is_whole(metadata), 'cut short'
    module.unlink()
    assert not is_whole(metadata), 'a file is missing'


@pytest.mark.parametrize(
    ('tool', 'arguments', 'message'),
    [
        ('train.py', ['no_config.py'], 'there is no config file no_config.py'),
        ('train.py', [__file__, '--resume', 'no.pth'], 'there is no checkpoint file no.pth'),
        ('test.py', [__file__, 'no.pth'], 'there is no checkpoint file no.pth'),
        ('test.py', [__file__, __file__, '--out', 'a.pkl'], '--out: a.pkl must end in .npz'),
    ],
)
def test_tools_name_a_mistake_in_one_line(tool: str, arguments: list[str], message: str) -> None:
    result = subprocess.run(
        [sys.executable, ROOT / 'tools' / tool, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith(f'error: {message}')


@pytest.mark.parametrize('tool', ['dist_train', 'dist_test', 'slurm_train', 'slurm_test'])
def test_launchers_say_how_they_are_used(tool: str) -> None:
    result = subprocess.run(
        ['bash', ROOT / f'tools/{tool}.sh'], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.startswith('usage: ')
