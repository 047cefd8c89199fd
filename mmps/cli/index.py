"""`mmps index`."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    BatchSizeOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    Precision,
    PrecisionOption,
    WeightsOption,
)
from .output import note, show, show_json

if TYPE_CHECKING:
    from mmps.apis import PersonSearchInferencer
    from mmps.gallery import Gallery, IndexReport, Progress


class Decoder(str, Enum):
    """What reads videos."""

    AUTO = 'auto'
    OPENCV = 'opencv'
    PYAV = 'pyav'


def index(
    sources: Annotated[
        list[Path], typer.Argument(help='Images, videos, and folders with such in them.')
    ],
    gallery: Annotated[
        Path,
        typer.Option(help='Folder of the gallery; made if there is none, else added to.'),
    ],
    model: ModelOption = None,
    weights: WeightsOption = None,
    every: Annotated[
        int | None,
        typer.Option(min=1, help='Of videos, one frame of so many.', show_default=False),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help='Of videos, so many frames a second; by default 2.', show_default=False),
    ] = None,
    camera: Annotated[
        str, typer.Option(help='Name of the camera of all sources.', show_default=False)
    ] = '',
    camera_pattern: Annotated[
        str | None,
        typer.Option(
            metavar='REGEX',
            help="Where the camera stands in a source's path: '(c[0-9]+)s'.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar='TIME',
            help="When the videos begin: '2026-11-21 12:03:04'. Images say it in their EXIF.",
            show_default=False,
        ),
    ] = None,
    decoder: Annotated[
        Decoder, typer.Option(help='What reads videos; auto: PyAV if installed, else OpenCV.')
    ] = Decoder.AUTO,
    batch_size: BatchSizeOption = 1,
    device: DeviceOption = None,
    precision: PrecisionOption = Precision.FLOAT32,
    ray: Annotated[
        int,
        typer.Option(
            metavar='ACTORS',
            min=0,
            help='Let so many actors of Ray do the work.',
            show_default=False,
        ),
    ] = 0,
    json: JsonOption = False,
) -> None:
    """Search images and videos for persons and add them to a gallery.

    Killed at any moment, the same command goes on where it was. What cannot be read is listed and
    passed over. A gallery that is there needs no --model and --weights.

    Examples:
    [bold]mmps index video.mp4 photos/ --gallery people --weights epoch_22.pth[/bold] makes one,
    [bold]mmps index door/ --gallery people --camera door --start '2026-11-21 08:00'[/bold] adds,
    [bold]torchrun --nproc-per-node 8 -m mmps.cli index door/ --gallery people[/bold] by 8 GPUs.
    """
    from functools import partial

    from mmps.gallery import Share, find_sources, index_sources
    from mmps.gallery.description import check_folder
    from mmps.index import open_index
    from mmps.times import parse_time

    # What is not there is named before a model is loaded.
    found = find_sources(sources)
    check_folder(gallery)
    rank, processes = int(os.environ.get('RANK', 0)), int(os.environ.get('WORLD_SIZE', 1))
    load = partial(
        load_model,
        gallery,
        model=model,
        weights=weights,
        device=device or _device_of_process(processes),
        precision=precision.value,
    )
    indexing = partial(
        index_sources,
        every=every,
        fps=fps,
        camera=camera,
        camera_pattern=camera_pattern,
        start=None if start is None else parse_time(start),
        decoder=decoder.value,
        batch_size=batch_size,
    )
    store, inferencer = load()
    with _progress(shown=rank == 0) as advance:
        if ray:
            from mmps.gallery.ray_pipeline import index_by_ray

            on_gpu = next(inferencer.model.parameters()).is_cuda
            del inferencer  # each actor has its own
            report = index_by_ray(
                store,
                partial(_model_alone, load),
                found,
                index=indexing,
                workers=ray,
                gpus=float(on_gpu),
                on_part=lambda done, parts: advance(done / parts, ''),
            )
        else:

            def on_progress(now: 'Progress') -> None:
                part = (now.sources_done + now.part) / now.sources
                advance(part, f'{now.frames} frames, {now.persons} persons')

            share = Share(rank, processes)
            report = indexing(store, inferencer, found, share=share, on_progress=on_progress)
    # Made now, so that the first search need not wait for it.
    persons = len(open_index(store)) if rank == 0 else 0
    _show(store, report, searchable=persons > 0, json=json)
    nothing = report.problems and not report.frames + report.frames_before
    if nothing and processes == 1:  # torchrun ends all processes when one fails
        raise typer.Exit(1)


def load_model(
    root: Path,
    *,
    model: str | None,
    weights: str | None,
    device: str | None,
    precision: str,
) -> 'tuple[Gallery, PersonSearchInferencer]':
    """A gallery, made if need be, and the model for it.

    Raises:
        ValueError: it is of another model, or there is none and no model was named.
    """
    from mmps.apis import PersonSearchInferencer, load_gallery_model
    from mmps.gallery import Gallery

    if model is None and weights is None:
        if not (root / 'gallery.json').exists():
            raise ValueError(f'--weights: {root} is a new gallery; say which model is to make it')
        gallery = Gallery.open(root)
        return gallery, load_gallery_model(gallery, device=device, precision=precision)
    inferencer = PersonSearchInferencer(model, weights, device=device, precision=precision)
    gallery = Gallery.create(
        root,
        model_id=inferencer.model_id,
        embed_dim=inferencer.embed_dim,
        model=inferencer.origin,
    )
    return gallery, inferencer


def _model_alone(
    load: 'Callable[[], tuple[Gallery, PersonSearchInferencer]]',
) -> 'PersonSearchInferencer':
    return load()[1]


def _device_of_process(processes: int) -> str | None:
    """Under torchrun, each process of a machine has a GPU of its own."""
    import torch

    if processes == 1 or not torch.cuda.is_available():
        return None
    return f'cuda:{int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count()}'


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[float, str], None]]:
    """A bar on stderr, where that is a terminal; called with the part done, 0 to 1, and a text."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn('{task.fields[text]}'),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task('', total=1.0, text='')
        yield lambda part, text: bar.update(task, completed=part, text=text)


def _show(gallery: 'Gallery', report: 'IndexReport', *, searchable: bool, json: bool) -> None:
    if json:
        show_json(report)
    else:
        show(
            f'{report.persons} persons in {report.frames} frames, {report.seconds:.0f} s; '
            f'{report.frames_before} frames had been searched before'
        )
        for problem in report.problems:
            note(f'not read, or not whole: {problem}')
        if searchable:
            show(f'Look for somebody: mmps search {gallery.root} IMAGE')
