"""What the documentation and the helps tell users to type."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from command_line import run

import mmps
from mmps.cli.app import app

ROOT = Path(mmps.__file__).parents[1]
APP = typer.main.get_command(app)
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]


def commands_in(text: str) -> dict[str, list[str]]:
    """The calls of `mmps` in the blocks of shell of a page: the lines and what `mmps` is given."""
    blocks = re.findall(r'^```bash\n(.*?)^```', text, flags=re.DOTALL | re.MULTILINE)
    calls = {}
    for line in ''.join(blocks).replace('\\\n', ' ').splitlines():
        words = shlex.split(line, comments=True)
        called = [place for place, word in enumerate(words) if word in ('mmps', 'mmps.cli')]
        if called and words[0] != 'mim':
            calls[line] = words[called[0] + 1 :]
    return calls


def all_commands(command: Any, *names: str) -> dict[str, Any]:
    """A command and all in it, by what is typed."""
    commands = {' '.join(['mmps', *names]): command}
    for name, part in getattr(command, 'commands', {}).items():
        commands |= all_commands(part, *names, name)
    return commands


def parse(arguments: list[str]) -> None:
    """Read the arguments as `mmps` does, without running it; it raises what is wrong with them."""
    command = APP
    while hasattr(command, 'commands'):
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context('mmps', arguments)


@pytest.mark.skipif(not (ROOT / 'docs').is_dir(), reason='mmps is not run from its repository')
def test_commands_of_the_documentation_can_be_parsed() -> None:
    wrong, parsed = {}, set()
    for page in PAGES:
        for line, arguments in commands_in(page.read_text()).items():
            try:
                parse(arguments)
            except Exception as error:
                wrong[f'{page.name}: {line}'] = repr(error)
            parsed.add(arguments[0])
    assert wrong == {}
    assert parsed >= {'index', 'search', 'delete', 'calibrate', 'serve', 'evaluate'}


@pytest.mark.parametrize('typed', all_commands(APP))
def test_each_help_shows_an_example(typed: str) -> None:
    _, *names = typed.split()
    examples = re.findall(r'\[bold\](.*?)\[/bold\]', all_commands(APP)[typed].help)
    assert examples
    for example in examples:
        [arguments] = commands_in(f'```bash\n{example}\n```\n').values()
        assert arguments[: len(names)] == names
        parse(arguments)
    shown = re.sub(r'[\s│]', '', run(*names, '--help').stdout)
    assert re.sub(r'\s', '', examples[0]) in shown


def test_all_commands_but_the_server_answer_in_json() -> None:
    without = [
        typed
        for typed, command in all_commands(APP).items()
        if not hasattr(command, 'commands')
        and not any('--json' in parameter.opts for parameter in command.params)
    ]
    assert without == ['mmps serve']
