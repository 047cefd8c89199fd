"""What pip, mim and Python see of the package."""

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmps
from mmps.compat import STACK

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip('tomli')

ROOT = Path(mmps.__file__).parents[1]
pytestmark = pytest.mark.skipif(
    not (ROOT / 'pyproject.toml').is_file(), reason='mmps is not run from its repository'
)
# Where the name to import is not pip's.
MODULE_OF = {'faiss-cpu': 'faiss', 'opencv-python': 'cv2', 'pillow': 'PIL'}


@pytest.fixture(scope='module')
def pyproject() -> dict:
    return tomllib.loads((ROOT / 'pyproject.toml').read_text())


@pytest.fixture(scope='module')
def project(pyproject: dict) -> dict:
    return pyproject['project']


def imported_modules(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name.split('.')[0], path
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.split('.')[0], path


@pytest.mark.parametrize('folder', ['mmps', 'tools'])
def test_what_is_imported_is_declared(folder: str, pyproject: dict) -> None:
    # The build hook lies among the tools.
    declared = pyproject['project']['dependencies'] + pyproject['build-system']['requires']
    for extra, packages in pyproject['project']['optional-dependencies'].items():
        declared += packages if extra != 'dev' else []
    names = {re.match(r'[\w.-]+', line).group() for line in declared}
    known = {MODULE_OF.get(name, name) for name in names} | {'mmps'} | set(sys.stdlib_module_names)
    siblings = {path.stem for path in (ROOT / folder).rglob('*.py')}
    undeclared = {
        f'{module} in {path.relative_to(ROOT)}'
        for module, path in imported_modules(ROOT / folder)
        if module not in known | siblings
    }
    assert not undeclared


def test_bounds_of_the_stack_are_those_declared(project: dict) -> None:
    declared = {d for d in project['dependencies'] if re.match(r'[\w.-]+', d).group() in STACK}
    assert declared == {bounds.requirement(package) for package, bounds in STACK.items()}


def test_the_lock_holds_the_versions_tried() -> None:
    lines = (ROOT / 'tools/env/constraints.txt').read_text().splitlines()
    for package, bounds in STACK.items():
        assert f'{package}=={bounds.tried}' in lines


@pytest.mark.parametrize('name', ['configs', 'tools', 'model-index.yml'])
def test_mim_links_lead_to_the_repository(name: str) -> None:
    link = ROOT / 'mmps' / '.mim' / name
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == ROOT / name


def build(kind: str, folder: Path) -> zipfile.ZipFile:
    """Build a wheel in a process of its own: the build back end works in the current folder."""
    pytest.importorskip('hatchling')
    subprocess.run(
        [
            sys.executable,
            '-c',
            f'from hatchling.build import build_{kind} as build; build({str(folder)!r})',
        ],
        cwd=ROOT,
        check=True,
    )
    (wheel,) = folder.glob('*.whl')
    return zipfile.ZipFile(wheel)


def test_a_wheel_holds_configs_and_tools_where_mim_looks(tmp_path: Path) -> None:
    with build('wheel', tmp_path) as wheel:
        names = wheel.namelist()
    assert len(names) == len(set(names))
    for name in (
        'mmps/__init__.py',
        'mmps/py.typed',
        'mmps/.mim/model-index.yml',
        'mmps/.mim/configs/seqxt_convnext_b_prw.py',
        'mmps/.mim/configs/_base_/default_runtime.py',
        'mmps/.mim/configs/metafiles/seqxt.yml',
        'mmps/.mim/tools/train.py',
        'mmps/.mim/tools/test.py',
        'mmps/.mim/tools/analysis_tools/get_flops.py',
    ):
        assert name in names
    assert not [name for name in names if name.endswith('.pyc') or name.startswith('tests')]


def test_an_editable_install_tells_mim_where_the_sources_are(tmp_path: Path) -> None:
    with build('editable', tmp_path) as wheel:
        names = wheel.namelist()
        (top_level,) = [name for name in names if name.endswith('.dist-info/top_level.txt')]
        # mim joins site-packages with the first line: an absolute path stays what it is.
        assert wheel.read(top_level).decode().splitlines() == [str(ROOT / 'mmps'), 'mmps']
    assert not [name for name in names if name.startswith('mmps/')]
