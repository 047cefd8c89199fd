"""Serving the page: to whom, and with what limits."""

import hmac
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

# Before gradio is imported, which asks then: it is not to report to anybody.
os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'

from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from .access import check_access, is_loopback
from .builds import Builder
from .galleries import OpenGallery
from .handlers import Handlers
from .page import build_page
from .shared_model import Inferencer, SharedModel
from .style import CSS, theme
from .uploads import MAX_BYTES

_MAX_WAITING = 200
_MAX_SESSIONS = 200


@contextmanager
def serving(
    galleries: Sequence[Path],
    inferencer: Inferencer,
    *,
    host: str = '127.0.0.1',
    port: int = 7860,
    token: str | None = None,
    roots: Sequence[Path] = (),
    build_folder: Path = Path('galleries'),
    index: str | None = None,
) -> Iterator[str]:
    """Serve the page from threads of this process as long as the block runs.

    Args:
        galleries: folders of galleries, all of the inferencer's model.
        inferencer: finds and embeds the people of queries and of new galleries.
        host: address to bind to.
        port: port to bind to.
        token: password that users have to give; needed where other machines reach the page.
        roots: folders of images and videos of which users may build galleries.
        build_folder: where those galleries go; with ``roots``, those that are there are served.
        index: address of a Milvus server; None for faiss in this process.

    Yields:
        The page's address.

    Raises:
        ValueError: if a token is missing or too short, a gallery is none or of another model, two
            have the same name, or there is neither a gallery nor a folder to build one of.
        OSError: if the port is taken.
    """
    check_access(host, token)
    folders = list(galleries)
    if roots:
        folders += sorted(path.parent for path in build_folder.glob('*/gallery.json'))
    elif not folders:
        raise ValueError('name a gallery, or by --root a folder of which galleries may be built')
    model = SharedModel(inferencer)
    opened = _open(folders, model_id=model.model_id, index=index)
    with ExitStack() as stack:
        stack.enter_context(_own_cache())
        builder = None
        if roots:
            builder = Builder(opened, model, roots=roots, folder=build_folder, index=index)
            stack.callback(builder.close)
        page = build_page(Handlers(opened, model, builder=builder))
        page.queue(max_size=_MAX_WAITING, api_open=False)
        stack.callback(page.close, verbose=False)
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            auth=None if token is None else _password(token),
            auth_message='Any name will do; the password is the access token of `mmps serve`.',
            max_file_size=MAX_BYTES,
            state_session_capacity=_MAX_SESSIONS,
            app_kwargs={'middleware': _trusted_hosts(host)},
            theme=theme(),
            css=CSS,
            footer_links=[],
            run_history=False,
            share=False,
            ssr_mode=False,
            enable_monitoring=False,
            prevent_thread_lock=True,
            quiet=True,
        )
        yield address


@contextmanager
def _own_cache() -> Iterator[None]:
    """Keep uploads and pictures of results in a folder that is deleted in the end.

    No other user of the machine can read it. Gradio knows it by the environment alone.
    """
    before = os.environ.get('GRADIO_TEMP_DIR')
    with TemporaryDirectory(prefix='mmps-', ignore_cleanup_errors=True) as folder:
        os.environ['GRADIO_TEMP_DIR'] = folder
        try:
            yield
        finally:
            del os.environ['GRADIO_TEMP_DIR']
            if before is not None:
                os.environ['GRADIO_TEMP_DIR'] = before


def _open(folders: Sequence[Path], *, model_id: str, index: str | None) -> dict[str, OpenGallery]:
    galleries: dict[str, OpenGallery] = {}
    for folder in folders:
        name = folder.resolve().name
        if name in galleries:
            raise ValueError(f'{folder}: there is another gallery {name}; rename one of them')
        galleries[name] = OpenGallery(folder, model_id=model_id, index=index)
    return galleries


def _password(token: str) -> Callable[[str, str], bool]:
    """Whether a password is the token, in a time that does not tell how much of it is right."""

    def is_right(name: str, password: str) -> bool:
        return hmac.compare_digest(password.encode(), token.encode())

    return is_right


def _trusted_hosts(host: str) -> list[Middleware]:
    """Where only this machine may ask, refuse pages elsewhere that call it by a name of theirs."""
    if not is_loopback(host):
        return []
    return [
        Middleware(TrustedHostMiddleware, allowed_hosts=['localhost', '127.0.0.1', '[::1]', host])
    ]
