"""The page: what is where, and which of the :class:`~mmps.web.handlers.Handlers` answers."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import gradio as gr

from .handlers import CLICK, GROUPS, MARK, MAX_RESULTS, NO_QUERY, Handlers
from .results import EXPORTS, TABLE_COLUMNS

_KEPT_SECONDS = 3600  # what a user uploaded and found, after the last use
_LIGHT: dict[str, Any] = dict(
    api_visibility='private', concurrency_limit=None, show_progress='minimal'
)
_MODEL: dict[str, Any] = dict(
    api_visibility='private',
    concurrency_limit=1,
    concurrency_id='model',
    show_progress='minimal',
)
_WRITING: dict[str, Any] = dict(api_visibility='private', concurrency_limit=1)

# The file is there when its link has got the new address.
_DOWNLOAD = "() => setTimeout(() => document.querySelector('#download').click(), 300)"


class QuerySide(NamedTuple):
    """Where a user says whom to look for."""

    picture: gr.Image
    hint: gr.Markdown
    mode: gr.Radio
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


def build_page(handlers: Handlers) -> gr.Blocks:
    """Lay out the page and connect it.

    Args:
        handlers: what answers.
    """
    with gr.Blocks(
        title='Person search', analytics_enabled=False, delete_cache=(600, _KEPT_SECONDS)
    ) as page:
        query, found = (gr.State(time_to_live=_KEPT_SECONDS) for _ in range(2))
        with gr.Row(equal_height=True):
            gr.Markdown('# Person search')
            names = list(handlers.galleries)
            gallery = gr.Dropdown(
                names, value=names[0] if names else None, label='Gallery', elem_id='gallery'
            )
            facts = gr.Markdown(elem_id='facts')
        with gr.Row():
            with gr.Column(scale=5, min_width=420):
                asking = _query_side()
                building = None if handlers.builder is None else _build_side(handlers)
            with gr.Column(scale=7, min_width=520):
                answer = _result_side()
        known = [facts, asking.source, answer.filters[0]]
        _connect(handlers, query, found, gallery, known, asking=asking, answer=answer)
        if building is None:
            page.load(_told(handlers.look), inputs=gallery, outputs=known, **_LIGHT)
        else:
            watched = [gallery, building.states, building.timer]
            building.button.click(
                _told(handlers.build), inputs=building.inputs, outputs=watched, **_WRITING
            )
            for event in (page.load, building.timer.tick):
                event(_told(handlers.watch), inputs=gallery, outputs=[*watched, *known], **_LIGHT)
    return page


def _query_side() -> QuerySide:
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
    with gr.Accordion('Take a picture of the gallery', open=False, elem_id='take'), gr.Row():
        source = gr.Dropdown([], label='Image or video', elem_id='source', scale=3)
        frame = gr.Dropdown([], label='Frame', elem_id='frame', visible=False)
    return QuerySide(picture, hint, mode, source, frame)


def _build_side(handlers: Handlers) -> BuildSide:
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


def _result_side() -> ResultSide:
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
        crops = _thumbnails('results', columns=6)
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
            track = _thumbnails('track', columns=8)
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


def _thumbnails(elem_id: str, *, columns: int) -> gr.Gallery:
    return gr.Gallery(
        show_label=False,
        columns=columns,
        allow_preview=False,
        interactive=False,
        elem_id=elem_id,
        elem_classes=['people'],
        buttons=[],
    )


def _connect(
    handlers: Handlers,
    query: gr.State,
    found: gr.State,
    gallery: gr.Dropdown,
    known: list[Any],
    *,
    asking: QuerySide,
    answer: ResultSide,
) -> None:
    """Connect the events of the two sides."""
    asked = [query, asking.picture, asking.hint]
    one_result = [answer.scene, answer.details, answer.track, answer.walk]
    search = dict(
        fn=_told(handlers.search),
        inputs=[query, gallery, *answer.filters],
        outputs=[found, answer.shown, answer.crops, answer.status, answer.table, *one_result],
        **_LIGHT,
    )
    take = dict(
        fn=_told(handlers.take_frame),
        inputs=[gallery, asking.source, asking.frame],
        outputs=asked,
        **_LIGHT,
    )
    opened = gallery.change(_told(handlers.open_gallery), inputs=gallery, outputs=known, **_LIGHT)
    opened.success(**search)
    listed = asking.source.input(
        _told(handlers.list_frames),
        inputs=[gallery, asking.source],
        outputs=asking.frame,
        **_LIGHT,
    )
    listed.success(**take).success(**search)
    asking.frame.input(**take).success(**search)
    picture = asking.picture
    uploaded = picture.upload(
        _told(handlers.upload, otherwise=(None, None, '')), inputs=picture, outputs=asked, **_MODEL
    )
    uploaded.success(**search)
    picture.clear(lambda: (None, None, ''), outputs=asked, **_LIGHT).success(**search)
    picture.select(
        _told(handlers.click), inputs=[query, asking.mode], outputs=asked, **_MODEL
    ).success(**search)
    asking.mode.input(handlers.explain, inputs=asking.mode, outputs=asking.hint, **_LIGHT)
    gr.on([component.change for component in answer.filters], **search)
    answer.crops.select(_told(handlers.choose_result), inputs=found, outputs=one_result, **_LIGHT)
    for kind, button in answer.exports.items():
        written = button.click(
            _told(functools.partial(handlers.export, kind=kind)),
            inputs=found,
            outputs=answer.download,
            **_WRITING,
        )
        written.success(None, js=_DOWNLOAD)


def _told(function: Callable[..., Any], *, otherwise: tuple[Any, ...] | None = None) -> Any:
    """Tell the user what is wrong with the input, and nothing else of the server.

    An error would cover what the page shows, a warning leaves it.

    Args:
        function: an answer of the handlers.
        otherwise: what to show instead of its result; None: what is there stays.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (ValueError, FileNotFoundError) as error:
            gr.Warning(str(error))
            return gr.skip() if otherwise is None else otherwise

    return run
