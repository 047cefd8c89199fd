"""A static page that shows how well a model searches: metrics, training curves and searches.

One folder with ``index.html`` and ``images/``; it needs no server, script or network.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TypeAlias

import mmcv

from .page_parts import link, picture, write_page
from .person_search_visualizer import PersonSearchVisualizer, RankedResult
from .scenes import Image
from .search_examples import SearchExample
from .training_curves import TrainingLog, draw_curves

Metrics: TypeAlias = Mapping[str, float]

_SCENE_WIDTH = 960


def write_search_page(
    folder: str | Path,
    examples: Sequence[SearchExample],
    visualizer: PersonSearchVisualizer,
    *,
    title: str,
    facts: Mapping[str, str],
    metrics: Mapping[str, Metrics],
    selection: str,
    log: TrainingLog | None = None,
) -> Path:
    """Write the page and its pictures, over those of an earlier page in the same folder.

    Args:
        folder: Where to write; made if it is not there.
        examples: The searches to show, in this order.
        visualizer: Draws the scenes.
        title: Heading of the page.
        facts: What was evaluated: name -> value (data set, model ...).
        metrics: Column of the table -> name of a metric -> its value. The first column is the
            model whose searches are shown, and names the rows.
        selection: How the searches were chosen and ordered: a clause that follows "12 queries, ".
        log: Scalars of the training run; without it the page has no curves.

    Returns:
        Path of ``index.html``.

    Raises:
        FileNotFoundError: A scene image is missing; the message names it.
        ValueError: A scene image cannot be decoded.
    """
    images = Path(folder, 'images')
    images.mkdir(parents=True, exist_ok=True)
    curves = draw_curves(log, images) if log else {}
    searches = [
        _search(number, example, visualizer, images)
        for number, example in enumerate(examples, start=1)
    ]
    body = (
        f'<h2>Metrics</h2>\n{_table(metrics)}\n{_curves(curves)}'
        f'<h2>Searches</h2>\n{_key(examples, selection)}\n{"".join(searches)}'
    )
    return write_page(folder, title=title, facts=facts, body=body)


def _table(metrics: Mapping[str, Metrics]) -> str:
    head = ''.join(f'<th scope="col">{escape(column)}</th>' for column in metrics)
    names = list(next(iter(metrics.values())))
    rows = ''.join(
        f'<tr><th scope="row">{_row_name(name)}</th>'
        + ''.join(_cell(column.get(name), first=not i) for i, column in enumerate(metrics.values()))
        + '</tr>\n'
        for name in names
    )
    return (
        '<div class="card metrics"><table>\n'
        f'<thead><tr><th></th>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>'
    )


def _row_name(metric: str) -> str:
    group, _, name = metric.rpartition('/')
    return f'<span class="soft">{escape(group.replace("_", " "))}</span> {escape(name)}'


def _cell(value: float | None, *, first: bool) -> str:
    name = 'first' if first else ''
    if value is None:
        return f'<td class="{name}">&ndash;</td>'
    if isinstance(value, int):
        return f'<td class="{name}">{value:,}</td>'
    # The bar behind the figure lets a column be read at a glance.
    return f'<td class="share {name}" style="--share: {value:.1%}">{value:.3f}</td>'


def _curves(curves: Mapping[str, Path]) -> str:
    if not curves:
        return ''
    figures = ''.join(
        f'<figure class="card"><figcaption>{escape(title)}</figcaption>'
        f'{picture(path, f"Curve of the training run: {title.lower()}")}</figure>\n'
        for title, path in curves.items()
    )
    return f'<h2>Training</h2>\n<div class="curves">\n{figures}</div>\n'


def _key(examples: Sequence[SearchExample], selection: str) -> str:
    if not examples:
        return '<p>This data set has no queries.</p>'
    return (
        f'<p>{len(examples)} queries, {escape(selection)}. The number beside a result is its '
        'similarity to the query.</p>\n'
        '<ul class="key"><li><i class="query"></i>person looked for</li>'
        '<li><i class="right"></i>right result</li><li><i class="wrong"></i>wrong result</li>'
        '<li><i class="truth"></i>ground truth of that person</li></ul>'
    )


def _search(
    number: int, example: SearchExample, visualizer: PersonSearchVisualizer, images: Path
) -> str:
    stem = f'query_{number:02d}'
    tile = _save(visualizer.draw_query(example.image, example.bbox), images / f'{stem}.jpg')
    scene = _save(
        visualizer.draw_scene(example.image, example.bbox, width=_SCENE_WIDTH),
        images / f'{stem}_scene.jpg',
    )
    results = ''.join(
        _result(
            rank,
            result,
            _save(visualizer.draw_result(result), images / f'{stem}_result_{rank}.jpg'),
        )
        for rank, result in enumerate(example.results, start=1)
    )
    found = sum(bool(result.correct) for result in example.results)
    return (
        f'<section class="card search">\n<h3>Query {number}'
        f'<span>person {example.pid} &middot; AP {example.average_precision:.3f} &middot; '
        f'{found} of the first {len(example.results)} right &middot; '
        f'in {example.num_true} gallery scenes</span></h3>\n'
        f'<div class="row" style="--columns: {len(example.results) + 1}">\n'
        '<figure class="is-query">'
        f'{picture(tile, f"Query {number}: person {example.pid}")}'
        f'<a href="{link(scene)}">{picture(scene, f"The whole scene of query {number}")}</a>'
        f'<figcaption><b>Query</b><small>{escape(example.image.name)}</small></figcaption>'
        f'</figure>\n{results}</div>\n</section>\n'
    )


def _result(rank: int, result: RankedResult, tile: Path) -> str:
    kind, mark = ('right', '&#10003;') if result.correct else ('wrong', '&#10007;')
    name = Path(str(result.image)).name
    present = '' if len(result.gt_bboxes) else '<small>not in this scene</small>'
    return (
        f'<figure class="is-{kind}">{picture(tile, f"Result {rank}, {kind}, in {name}")}'
        f'<figcaption>{rank}: <b>{result.similarity:.3f} {mark}</b>'
        f'<small>{escape(name)}</small>{present}</figcaption></figure>\n'
    )


def _save(image: Image, path: Path) -> Path:
    mmcv.imwrite(image[..., ::-1], str(path))
    return path
