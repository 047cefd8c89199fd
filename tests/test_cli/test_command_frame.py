import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import mmps
from mmps.cli import app as app_module
from mmps.cli.output import note, show_json, show_table

RUNNER = CliRunner()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch):
    """Run one function as the only command of the program."""

    def run(function, *args: str):
        program = typer.Typer(pretty_exceptions_enable=False)
        program.callback()(lambda: None)
        monkeypatch.setattr(app_module, 'app', program)
        app_module.command(function)
        return RUNNER.invoke(program, [function.__name__, *args])

    return run


@pytest.mark.parametrize(
    ('error', 'exit_code'),
    [
        (ValueError('--box: give four numbers'), 2),
        (FileNotFoundError('there is no a.jpg'), 2),
        (FileExistsError('b: already there'), 2),
        (PermissionError('c: not yours'), 1),
        (ImportError('mmcv is not installed'), 1),
    ],
)
def test_errors_of_users_are_one_line(command, error: Exception, exit_code: int) -> None:
    def broken() -> None:
        raise error

    result = command(broken)
    assert result.exit_code == exit_code
    assert result.stdout == ''
    assert f'error: {error}\n' in result.stderr
    assert 'Traceback' not in result.output
    assert ('mmps doctor' in result.stderr) == isinstance(error, ImportError)


def test_other_errors_are_not_swallowed(command) -> None:
    def broken() -> None:
        raise RuntimeError('a bug')

    result = command(broken)
    assert result.exit_code == 1
    assert isinstance(result.exception, RuntimeError)


def test_only_results_go_to_stdout(command) -> None:
    def talk(name: str) -> None:
        sys.stdout.write('a library logs\n')
        note('a message')
        show_json({'name': name, 'of': Path('a/b'), 'time': float('nan')})

    result = command(talk, 'Zoë')
    assert json.loads(result.stdout) == {'name': 'Zoë', 'of': 'a/b', 'time': None}
    assert result.stderr == 'a library logs\na message\n'


def test_tables_are_not_cut_where_nobody_looks_at_a_terminal(command) -> None:
    path = 'very/' * 40 + 'long.jpg'

    def table() -> None:
        show_table(['rank', 'file [x]'], [[1, path], [12, 'b']])

    lines = command(table).stdout.splitlines()
    assert any(path in line for line in lines)
    assert 'file [x]' in lines[1]
    assert any(line.startswith('│    1 │') for line in lines)
    assert any(line.startswith('│   12 │') for line in lines)


def test_a_narrow_terminal_cuts_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, 'isatty', lambda: True)
    monkeypatch.setattr('sys.stdout', terminal)
    monkeypatch.setenv('COLUMNS', '60')
    show_table(['source', 'time', 'row'], [['word' * 5, 'word' * 5, 5672810568703651396]])
    lines = terminal.getvalue().splitlines()
    assert len(lines[0]) == 60
    assert any('word' in line and ' 5672810568703651396 ' in line for line in lines)


def test_the_version() -> None:
    result = RUNNER.invoke(app_module.app, ['--version'])
    assert (result.exit_code, result.stdout) == (0, f'mmps {mmps.__version__}\n')


def test_help_does_not_load_the_stack(tmp_path: Path) -> None:
    script = tmp_path / 'mmps'  # as pip writes it, but for the last line
    script.write_text(
        'import sys\nfrom mmps.cli import main\n'
        'try:\n    main()\nfinally:\n    print("torch" in sys.modules, "cv2" in sys.modules)\n'
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, script, '--help'], capture_output=True, text=True, check=True
    )
    assert time.perf_counter() - start < 5
    assert 'Find a person' in done.stdout
    assert done.stdout.endswith('False False\n')
