"""The page: its parts, and which of the :class:`~mmps.web.handlers.Handlers` answers."""

import functools
from collections.abc import Callable
from typing import Any

import gradio as gr

from .handlers import Handlers
from .sides import QuerySide, ResultSide, build_side, query_side, result_side

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


def build_page(handlers: Handlers) -> gr.Blocks:
    """Lay out the page and connect it.

    Args:
        handlers: what answers.
    """
    with gr.Blocks(
        title='Person search', analytics_enabled=False, delete_cache=(600, _KEPT_SECONDS)
    ) as page:
        query, found = (gr.State(time_to_live=_KEPT_SECONDS) for _ in range(2))
        kept = gr.State((), time_to_live=_KEPT_SECONDS)
        with gr.Row(equal_height=True):
            gr.Markdown('# Person search')
            names = list(handlers.galleries)
            gallery = gr.Dropdown(
                names, value=names[0] if names else None, label='Gallery', elem_id='gallery'
            )
            facts = gr.Markdown(elem_id='facts')
        with gr.Row():
            with gr.Column(scale=5, min_width=420):
                asking = query_side()
                building = None if handlers.builder is None else build_side(handlers)
            with gr.Column(scale=7, min_width=520):
                answer = result_side()
        known = [facts, asking.source, answer.filters[0]]
        _connect(handlers, query, kept, found, gallery, known, asking=asking, answer=answer)
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


def _connect(
    handlers: Handlers,
    query: gr.State,
    kept: gr.State,
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
        inputs=[query, gallery, *answer.filters, kept],
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
    keeping = [kept, asking.kept, asking.crops, asking.hint]
    asking.keep.click(
        _told(handlers.keep), inputs=[query, kept], outputs=keeping, **_LIGHT
    ).success(**search)
    asking.start_over.click(handlers.start_over, outputs=keeping, **_LIGHT).success(**search)
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
