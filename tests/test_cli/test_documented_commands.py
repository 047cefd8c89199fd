"""Commands of the documentation are such that can be typed: known options, all arguments."""

import re
import shlex
from pathlib import Path

import pytest
import typer

import mmps
from mmps.cli.app import app

ROOT = Path(mmps.__file__).parents[1]
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


def parse(arguments: list[str]) -> None:
    """Read the arguments as `mmps` does, without running it; it raises what is wrong with them."""
    command = typer.main.get_command(app)
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
