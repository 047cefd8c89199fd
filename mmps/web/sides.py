"""The parts of the page: what is where."""

from typing import Any, NamedTuple

import gradio as gr

from .handlers import CLICK, GROUPS, MARK, MAX_RESULTS, NO_QUERY, Handlers
from .results import EXPORTS, TABLE_COLUMNS


class QuerySide(NamedTuple):
    """Where a user says whom to look for."""

    picture: gr.Image
    hint: gr.Markdown
    mode: gr.Radio
    keep: gr.Button
    kept: gr.Column
    crops: gr.Gallery
    start_over: gr.Button
    source: gr.Dropdown
    frame: gr.Dropdown


class ResultSide(NamedTuple):
    """Where the results are."""

    filters: list[Any]
    status: gr.Markdown
    shown: gr.Column
    crops: gr.Gallery
    scene: gr.Image
    details: gr.Markdown
    track: gr.Gallery
    walk: gr.Markdown
    table: gr.Dataframe
    exports: dict[str, gr.Button]
    download: gr.DownloadButton


class BuildSide(NamedTuple):
    """Where a user builds a gallery."""

    inputs: list[Any]
    button: gr.Button
    states: gr.Markdown
    timer: gr.Timer


def query_side() -> QuerySide:
    """Lay out where a user says whom to look for."""
    gr.Markdown('### 1 · Whom are you looking for?')
    picture = gr.Image(
        label='Picture with the person in it',
        type='filepath',
        image_mode=None,
        sources=['upload', 'clipboard'],
        elem_id='query',
        height=420,
        buttons=[],
    )
    hint = gr.Markdown(
        'Upload a picture above, or take one of the gallery below.', elem_id='hint', padding=True
    )
    mode = gr.Radio([CLICK, MARK], value=CLICK, show_label=False, elem_id='mode')
    keep = gr.Button('Keep as a picture of this person', size='sm', elem_id='keep')
    with gr.Column(visible=False, elem_id='kept') as kept:
        gr.Markdown('**Pictures of this person**, searched for together with the one in the box:')
        crops = _thumbnails('kept-crops')
        start_over = gr.Button('Start over', size='sm', elem_id='start-over')
    with gr.Accordion('Take a picture of the gallery', open=False, elem_id='take'), gr.Row():
        source = gr.Dropdown([], label='Image or video', elem_id='source', scale=3)
        frame = gr.Dropdown([], label='Frame', elem_id='frame', visible=False)
    return QuerySide(picture, hint, mode, keep, kept, crops, start_over, source, frame)


def build_side(handlers: Handlers) -> BuildSide:
    """Lay out where a user builds a gallery, of the folders that the builder allows."""
    assert handlers.builder is not None
    with gr.Accordion('Build a gallery', open=not handlers.galleries, elem_id='build'):
        folder = gr.Dropdown(
            handlers.builder.folders(),
            value=None,
            label='Folder of images and videos',
            elem_id='folder',
        )
        with gr.Row():
            name = gr.Textbox('', label='Name of the gallery', elem_id='name')
            camera = gr.Textbox('', label='Camera, if it is one')
            fps = gr.Number(2, label='Frames a second of a video', minimum=0.01, maximum=60)
        button = gr.Button('Build', variant='primary', elem_id='start')
        states = gr.Markdown(elem_id='states')
    return BuildSide([name, folder, camera, fps], button, states, gr.Timer(2, active=False))


def result_side() -> ResultSide:
    """Lay out where the results are."""
    gr.Markdown('### 2 · Who looks most alike?')
    with gr.Accordion('Filter and group', open=False, elem_id='filter'):
        with gr.Row():
            cameras = gr.Dropdown([], label='Cameras (none: all)', multiselect=True)
            path = gr.Textbox('', label='Path contains', elem_id='path')
        with gr.Row():
            begin = gr.Textbox('', label='From', placeholder='2026-11-21 12:00, or 0:10:00')
            end = gr.Textbox('', label='Until', placeholder='2026-11-21 13:00, or 0:20:00')
        with gr.Row():
            group = gr.Radio(
                list(GROUPS), value=next(iter(GROUPS)), label='Show', elem_id='group', scale=3
            )
            topk = gr.Slider(6, MAX_RESULTS, value=12, step=6, label='How many', scale=2)
    status = gr.Markdown(NO_QUERY, elem_id='status', padding=True)
    with gr.Column(visible=False) as shown:
        crops = _thumbnails('results')
        exports, download = _exports()
        scene, details, track, walk, table = _one_result()
    filters = [cameras, path, begin, end, group, topk]
    return ResultSide(
        filters, status, shown, crops, scene, details, track, walk, table, exports, download
    )


def _one_result() -> tuple[gr.Image, gr.Markdown, gr.Gallery, gr.Markdown, gr.Dataframe]:
    with gr.Tabs():
        with gr.Tab('Scene'), gr.Row():
            with gr.Column(scale=3):
                scene = gr.Image(
                    show_label=False,
                    interactive=False,
                    elem_id='scene',
                    buttons=['fullscreen'],
                )
            with gr.Column(scale=2, min_width=240):
                details = gr.Markdown(elem_id='details')
        with gr.Tab('Track', elem_id='track-tab'):
            walk = gr.Markdown(elem_id='walk', padding=True)
            track = _thumbnails('track')
        with gr.Tab('Table'):
            table = gr.Dataframe(
                headers=list(TABLE_COLUMNS), interactive=False, elem_id='table', buttons=['copy']
            )
    return scene, details, track, walk, table


def _exports() -> tuple[dict[str, gr.Button], gr.DownloadButton]:
    with gr.Row():
        exports = {
            kind: gr.Button(f'Save as {kind}', size='sm', elem_id=f'save-{kind.lower()}')
            for kind in EXPORTS
        }
    return exports, gr.DownloadButton(elem_id='download')


def _thumbnails(elem_id: str) -> gr.Gallery:
    return gr.Gallery(
        show_label=False,
        allow_preview=False,
        interactive=False,
        elem_id=elem_id,
        elem_classes=['people'],
        buttons=[],
    )
