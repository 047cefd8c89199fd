"""A search as data: everything that a config says about one, but not what is searched."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, get_args

from mmps.evaluation.predictions import Predictions

from .ranking import Matching

GalleryKind = Literal['detections', 'ground_truth']


@dataclass(frozen=True)
class Search:
    """How to search.

    Args:
        protocol: a constructor registered in ``mmps.registry.PROTOCOLS`` as ``type``, and its
            arguments; PRW's by default.
        gallery: 'detections', or 'ground_truth' for re-identification alone (OIMNet++, Table 2):
            the annotated boxes are searched, each with score 1.
        score_thr: detections of lower score are left out.
        iou_thr: IoU from which a large target counts as found.
        cws: multiply similarities by the detection score (confidence-weighted similarity).
        matching: 'published' or 'strict'; see
            :func:`~mmps.evaluation.functional.ranking.evaluate_search`.
        cbgm: ``dict(k1=, k2=)`` to re-rank by context; see
            :func:`~mmps.evaluation.functional.cbgm.cbgm_reranker`.

    Raises:
        ValueError: if a setting has no such value; the message names it.
    """

    protocol: Mapping[str, Any] = field(default_factory=lambda: {'type': 'mmps.prw_protocol'})
    gallery: GalleryKind = 'detections'
    score_thr: float = 0.5
    iou_thr: float = 0.5
    cws: bool = True
    matching: Matching = 'published'
    cbgm: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.protocol, Mapping) or not isinstance(self.protocol.get('type'), str):
            raise ValueError(f"protocol={self.protocol!r} must be a dict with the name of a 'type'")
        for name, allowed in (('gallery', GalleryKind), ('matching', Matching)):
            value = getattr(self, name)
            if value not in get_args(allowed):
                raise ValueError(f'{name}={value!r} is not one of {", ".join(get_args(allowed))}')
        for name in ('score_thr', 'iou_thr'):
            value = getattr(self, name)
            if not isinstance(value, Real):
                raise ValueError(f'{name}={value!r} is not a number')
        if self.cbgm is not None and (
            not isinstance(self.cbgm, Mapping)
            or set(self.cbgm) != {'k1', 'k2'}
            or not all(isinstance(k, int) and k > 0 for k in self.cbgm.values())
        ):
            raise ValueError(f'cbgm={self.cbgm!r} must be dict(k1=, k2=) of positive integers')


def make_searches(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Search]:
    """Named searches from the settings of a config: ``dict(name=dict(setting=...))``.

    Args:
        settings: arguments of :class:`Search` for each name. The name becomes the first part of
            the figures' keys.

    Raises:
        ValueError: if a name or a setting is not possible; the message names it.
    """
    if not isinstance(settings, Mapping):
        raise ValueError(f'searches must be a dict of named settings, got {settings!r}')
    known = [setting.name for setting in dataclasses.fields(Search)]
    searches = {}
    for name, arguments in settings.items():
        if name == 'det' or '/' in name:
            raise ValueError(
                f"searches: '{name}' cannot be a name: figures are called <name>/mAP beside det/AP"
            )
        if not isinstance(arguments, Mapping):
            raise ValueError(f"searches['{name}'] must be a dict of settings, got {arguments!r}")
        unknown = sorted(set(arguments) - set(known))
        if unknown:
            raise ValueError(
                f"searches['{name}'] has no setting '{unknown[0]}'; there are {', '.join(known)}"
            )
        try:
            searches[name] = Search(**arguments)
        except ValueError as error:
            raise ValueError(f"searches['{name}']: {error}") from error
    return searches


def recorded_settings(predictions: Predictions) -> dict[str, Any]:
    """Settings with which ``PersonSearchMetric`` evaluated predictions when it saved them.

    Returns:
        Arguments of
        :func:`~mmps.evaluation.functional.person_search.evaluate_predictions`: ``searches``, and
        ``det_score_thr`` and ``topk`` where they are recorded. Without a record, one ``search``
        with default settings.

    Raises:
        ValueError: if the record, ``meta['evaluation']``, is not one of searches.
    """
    recorded = predictions.meta.get('evaluation', {})
    try:
        if not isinstance(recorded, Mapping):
            raise ValueError(f'it must be a dict, got {recorded!r}')
        settings = {key: recorded[key] for key in ('det_score_thr', 'topk') if key in recorded}
        return {'searches': make_searches(recorded.get('searches', {'search': {}})), **settings}
    except ValueError as error:
        raise ValueError(f"meta['evaluation']: {error}") from error


def recorded_searches(predictions: Predictions) -> dict[str, Search]:
    """The searches of :func:`recorded_settings`."""
    searches: dict[str, Search] = recorded_settings(predictions)['searches']
    return searches


def first_detection_search(searches: Mapping[str, Search]) -> Search:
    """The first search among detections: the one to show in pictures.

    Raises:
        ValueError: if there is none.
    """
    for search in searches.values():
        if search.gallery == 'detections':
            return search
    raise ValueError(f'There is no search among detections, only {list(searches)}')


def choose_plain_search(predictions: Predictions, name: str | None = None) -> tuple[str, Search]:
    """A recorded search among detections that is not re-ranked by context.

    Args:
        predictions: that were evaluated.
        name: of the search, which may then be any; None: the first that is plain.

    Returns:
        Its name and settings.

    Raises:
        ValueError: if there is none, or none of that name; the message names those there are.
    """
    searches = recorded_searches(predictions)
    if name is None:
        plain = (
            key
            for key, search in searches.items()
            if search.cbgm is None and search.gallery == 'detections'
        )
        name = next(plain, None)
        if name is None:
            raise ValueError(f'No plain search among detections is recorded, only {list(searches)}')
    if name not in searches:
        raise ValueError(f"There is no search '{name}'; recorded are {', '.join(searches)}")
    return name, searches[name]
