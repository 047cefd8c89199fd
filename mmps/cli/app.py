"""The frame of the command ``mmps``: its commands, how they report errors, its exit codes.

A command is a function in a module of its own. That module imports what is heavy (PyTorch,
MMDetection, mmps itself) inside the function, so that ``mmps --help`` is there at once.

Exit codes: 0 done, 1 failed, 2 called wrongly or with bad input.
"""

import functools
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

import mmps

from .calibrate import calibrate
from .convert import checkpoint, dataset, prw, split
from .delete import delete
from .doctor import doctor
from .evaluate import evaluate
from .index import index
from .output import note, results_alone_on_stdout, show
from .search import search
from .serve import serve

app = typer.Typer(
    name='mmps',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode='rich',
    context_settings={'help_option_names': ['-h', '--help']},
)


def command(
    function: Callable[..., None], *, needs_stack: bool = True, group: typer.Typer | None = None
) -> None:
    """Add a command, named as its function, with the errors of its users in one line.

    Args:
        function: its arguments and docstring become those of the command.
        needs_stack: check PyTorch's and OpenMMLab's packages and register the components first.
        group: that it is a part of; None for a command of its own.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            with results_alone_on_stdout():
                if needs_stack:
                    mmps.load_components()
                function(*args, **kwargs)
        except (ValueError, FileNotFoundError, FileExistsError, NotADirectoryError) as error:
            raise _failed(error, exit_code=2) from error
        except ImportError as error:
            note('`mmps doctor` says what is wrong with this installation.')
            raise _failed(error, exit_code=1) from error
        except OSError as error:
            raise _failed(error, exit_code=1) from error

    (group or app).command()(run)


def _failed(error: Exception, *, exit_code: int) -> typer.Exit:
    note(f'error: {error}')
    return typer.Exit(exit_code)


def _show_version(wanted: bool) -> None:
    if wanted:
        show(f'mmps {mmps.__version__}')
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option('--version', callback=_show_version, is_eager=True, help='Show the version.'),
    ] = False,
) -> None:
    """Find a person among whole scene images and videos.

    Examples:
    [bold]mmps index videos/ --gallery people --weights epoch_22.pth[/bold] makes a gallery,
    [bold]mmps search people photo.jpg[/bold] lists the persons in a photo,
    [bold]mmps search people photo.jpg --person 1[/bold] looks for one in the gallery.
    """


# The commands, in the order of the help.
command(index)
command(search)
command(delete)
command(calibrate)
command(serve)
command(evaluate)
convert = typer.Typer(
    help='Convert datasets and checkpoints.\n\n'
    'Example: [bold]mmps convert dataset prw data/PRW-v16.04.20[/bold]',
    no_args_is_help=True,
)
app.add_typer(convert, name='convert')
for part in (dataset, split, prw, checkpoint):
    command(part, group=convert)
command(doctor, needs_stack=False)


def main() -> None:
    """Run the command line; the process ends with its exit code."""
    app(prog_name='mmps', args=sys.argv[1:])
