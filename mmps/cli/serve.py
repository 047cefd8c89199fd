"""`mmps serve`."""

import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from .options import (
    DeviceOption,
    IndexOption,
    ModelOption,
    Precision,
    PrecisionOption,
    WeightsOption,
)
from .output import show


def serve(
    galleries: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar='GALLERY...',
            help='Folders of galleries of one model, made by `mmps index`.',
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help='Address to bind to; by default no other machine can reach it.')
    ] = '127.0.0.1',
    port: Annotated[int, typer.Option(min=1, max=65535, help='Port to bind to.')] = 7860,
    token: Annotated[
        str | None,
        typer.Option(
            envvar='MMPS_TOKEN',
            help='Access token that users have to give; needed with --host. Better given by the '
            'environment: others on this machine see command lines.',
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(
            help='Folder of images and videos of which users may build galleries; can be '
            'repeated. Without it they may not.',
            show_default=False,
        ),
    ] = None,
    build_folder: Annotated[Path, typer.Option(help='Where galleries go that users build.')] = Path(
        'galleries'
    ),
    index: IndexOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = Precision.FLOAT32,
) -> None:
    """Serve a web page to search galleries with, until Ctrl-C.

    The model is the one that the first gallery was made with, from where it was then.

    Examples:
    [bold]mmps serve my_gallery[/bold] for this machine alone,
    [bold]mmps serve --root footage --weights model.pth[/bold] to build galleries on the page,
    [bold]MMPS_TOKEN=... mmps serve my_gallery --host 0.0.0.0[/bold] for others.
    """
    from mmps.web import check_access

    check_access(host, token)  # before the model is loaded
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise ImportError("`mmps serve` needs gradio: pip install 'mmps[web]'") from error
    from mmps.apis import PersonSearchInferencer, load_gallery_model
    from mmps.gallery import Gallery
    from mmps.web.server import serving

    for folder in root or []:
        if not folder.is_dir():
            raise NotADirectoryError(f'--root: there is no folder {folder}')
    if galleries:
        inferencer = load_gallery_model(
            Gallery.open(galleries[0]),
            model=model,
            weights=weights,
            device=device,
            precision=precision.value,
        )
    elif model is None and weights is None:
        raise ValueError('name a gallery, or by --model and --weights a model to build one with')
    else:
        inferencer = PersonSearchInferencer(
            model, weights, device=device, precision=precision.value
        )
    with serving(
        galleries or [],
        inferencer,
        host=host,
        port=port,
        token=token,
        roots=root or [],
        build_folder=build_folder,
        index=index,
    ) as address:
        show(f'Serving {address} (Ctrl-C ends it)')
        _wait_for_interrupt()


def _wait_for_interrupt() -> None:
    """Wait for Ctrl-C, or for SIGTERM of a service manager: uploads are deleted in the end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
