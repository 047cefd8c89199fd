"""Running commands of `mmps` in this process."""

import json
from typing import Any

from typer.testing import CliRunner, Result

from mmps.cli.app import app


def run(*arguments: object, exit_code: int = 0) -> Result:
    """Run `mmps` with arguments; what it ends with is checked."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.stderr
    return result


def run_json(*arguments: object, exit_code: int = 0) -> Any:
    """Run `mmps` with --json and read what it prints."""
    return json.loads(run(*arguments, '--json', exit_code=exit_code).stdout)


def error_of(*arguments: object) -> str:
    """The one line that a wrong call ends with."""
    result = run(*arguments, exit_code=2)
    assert result.stdout == ''
    [line] = [line for line in result.stderr.splitlines() if line.startswith('error: ')]
    return line
