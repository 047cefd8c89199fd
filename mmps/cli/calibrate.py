"""`mmps calibrate`."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import JsonOption
from .output import note, show, show_json, show_table

if TYPE_CHECKING:
    from mmps.calibration import Calibration
    from mmps.evaluation import Predictions
    from mmps.evaluation.analysis import SimilarityCurve
    from mmps.gallery import Gallery

RATES = (1e-1, 1e-2, 1e-3, 1e-4)


class Exclude(str, Enum):
    """What of a labelled gallery does not count for a query."""

    IMAGE = 'image'
    CAMERA = 'camera'
    SEQUENCE = 'sequence'


def calibrate(
    labels: Annotated[
        Path,
        typer.Argument(
            metavar='LABELS',
            help='Predictions (.npz) of a labelled test set, of `mmps evaluate --out`; or COCO '
            "JSON with identities of the gallery's images.",
        ),
    ],
    gallery: Annotated[
        Path | None,
        typer.Argument(
            metavar='GALLERY',
            help='Gallery of the same model to store the calibration in; without it the figures '
            'are only shown.',
            show_default=False,
        ),
    ] = None,
    false_alarm_rate: Annotated[
        float,
        typer.Option(min=0, max=1, help='Share of different persons that may pass the threshold.'),
    ] = 1e-3,
    base_rate: Annotated[
        float | None,
        typer.Option(
            help='Share of the persons of your gallery who are the one looked for; by default as '
            'among the labels.',
            show_default=False,
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            help='Which recorded search of the predictions says what is compared; by default the '
            'first plain one.',
            show_default=False,
        ),
    ] = None,
    exclude: Annotated[
        Exclude, typer.Option(help='What of a labelled gallery does not count for a query.')
    ] = Exclude.IMAGE,
    picture: Annotated[
        Path | None, typer.Option(help='PNG file to draw the curves in.', show_default=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Learn which similarity means the same person, from labels, for a model's gallery.

    Example: [bold]mmps calibrate prw.npz my_gallery --false-alarm-rate 0.0001[/bold]
    """
    from mmps.calibration import calibrate_pairs, held_out_error, label_pairs
    from mmps.calibration.picture import draw_calibration
    from mmps.evaluation.analysis import search_inputs
    from mmps.gallery import Gallery

    opened = None if gallery is None else Gallery.open(gallery)
    predictions, settings = _labelled(labels, opened, search=search, exclude=exclude.value)
    predictions, inputs = search_inputs(predictions, settings)
    pairs = label_pairs(inputs, predictions.query_pids)
    curve = pairs.curve()
    calibration = calibrate_pairs(
        curve,
        false_alarm_rate=false_alarm_rate,
        model_id=_model_id(labels, predictions, opened),
        base_rate=base_rate,
        labels=labels.name,
        error=held_out_error(pairs),
    )
    stored = None if opened is None else calibration.save(opened.root)
    if picture is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        draw_calibration(calibration, curve, picture)
    if json:
        show_json(_document(calibration, curve, stored))
    else:
        _show_tables(calibration, curve)
        show(f'Stored in {stored}' if stored else 'Not stored: no gallery was given')


def _labelled(
    labels: Path, gallery: 'Gallery | None', *, search: str | None, exclude: str
) -> tuple['Predictions', Any]:
    """Labelled predictions and how to search among them."""
    from mmps.calibration import labelled_gallery
    from mmps.evaluation import Predictions, Search, choose_plain_search

    if labels.suffix == '.npz':
        predictions = Predictions.load(labels)
        return predictions, choose_plain_search(predictions, search)[1]
    if labels.suffix != '.json':
        raise ValueError(f'{labels}: labels are predictions (.npz) or COCO JSON (.json)')
    if gallery is None:
        raise ValueError(f'{labels}: annotations label the images of a gallery: name it, too')
    if search is not None:
        raise ValueError('--search is of predictions; annotations have --exclude')
    protocol = {'type': 'mmps.custom_protocol', 'exclude': exclude}
    return labelled_gallery(gallery, labels), Search(protocol=protocol, score_thr=0)


def _model_id(labels: Path, predictions: 'Predictions', gallery: 'Gallery | None') -> str:
    """The model that made both; predictions may not say which made them."""
    made_by: str = predictions.meta.get('model_id', '')
    if gallery is None:
        return made_by
    dim = predictions.det_embeddings.shape[1]
    if (made_by and made_by != gallery.model_id) or dim != gallery.embed_dim:
        raise ValueError(
            f'{labels}: of the model {made_by or "unknown"} with embeddings of {dim}, the gallery '
            f'{gallery.root} is of {gallery.model_id} with {gallery.embed_dim}: a calibration '
            'holds for one model; test that of the gallery'
        )
    if not made_by:
        note(f'{labels} does not say which model made it: taken to be that of {gallery.root}')
    return gallery.model_id


def _document(
    calibration: 'Calibration', curve: 'SimilarityCurve', stored: Path | None
) -> dict[str, Any]:
    from mmps.evaluation.analysis import operating_point, sampled

    by_similarity = sampled(curve)
    return {
        'calibration': calibration,
        'stored': stored,
        'num_queries': curve.num_queries,
        'at_false_alarm_rate': {
            f'{rate:g}': operating_point(curve, false_alarm_rate=rate) for rate in RATES
        },
        'by_similarity': {
            **by_similarity,
            'probability': calibration.probability(by_similarity['thresholds']),
        },
    }


def _show_tables(calibration: 'Calibration', curve: 'SimilarityCurve') -> None:
    _show_by_similarity(calibration, curve)
    _show_by_rate(calibration, curve)
    show(
        f'{calibration.num_same:,} pairs of the same person, {calibration.num_different:,} of '
        f'different persons; probabilities for a base rate of {calibration.base_rate:.2e}.'
    )
    if calibration.error is not None:
        show(
            'Of persons held out, the probabilities of the first results are off by '
            f'{_percent(calibration.error)} (expected calibration error).'
        )


def _show_by_similarity(calibration: 'Calibration', curve: 'SimilarityCurve') -> None:
    from mmps.evaluation.analysis import sampled

    figures = sampled(curve, step=512)
    rows = [
        (f'{threshold:.3f}', f'{probability:.4f}', _percent(precision), _percent(recall), _few(few))
        for threshold, probability, precision, recall, few in zip(
            figures['thresholds'],
            calibration.probability(figures['thresholds']),
            figures['precision'],
            figures['recall'],
            figures['false_alarms_per_query'],
            strict=True,
        )
    ]
    columns = ('similarity', 'probability', 'precision from here', 'recall', 'alarms a query')
    show_table(columns, rows, title='By similarity')


def _show_by_rate(calibration: 'Calibration', curve: 'SimilarityCurve') -> None:
    from mmps.evaluation.analysis import operating_point

    chosen = calibration.false_alarm_rate
    rates = sorted({*RATES, chosen}, reverse=True)
    points = [operating_point(curve, false_alarm_rate=rate) for rate in rates]
    probabilities = calibration.probability([point.threshold for point in points])
    rows = [
        (
            f'{rate:g} (chosen)' if rate == chosen else f'{rate:g}',
            f'{point.threshold:.4f}',
            f'{probability:.4f}',
            _percent(point.precision),
            _percent(point.recall),
            _few(point.false_alarms_per_query),
        )
        for rate, point, probability in zip(rates, points, probabilities, strict=True)
    ]
    figures = ('probability', 'precision', 'recall', 'alarms a query')
    show_table(('false-alarm rate', 'threshold', *figures), rows, title='At a false-alarm rate')


def _percent(fraction: float) -> str:
    return f'{100 * fraction:.1f} %'


def _few(number: float) -> str:
    return f'{number:.3g}'
