"""Each analysis of a search as a section of a page: its picture, its table and what it says.

Every function draws into the folder ``images`` that it is given.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmps.evaluation import Predictions, SearchResult
from mmps.evaluation.analysis import (
    CameraPairs,
    GallerySizeCurve,
    OperatingPoint,
    QueryGroups,
    ScoreSweep,
    SimilarityCurve,
)

from .analysis_page import Section
from .analysis_pictures import (
    draw_camera_pairs,
    draw_false_alarms,
    draw_gallery_size,
    draw_query_groups,
    draw_recall_against_search,
    draw_score_sweep,
    draw_similarity,
    group_names,
)


def gallery_size_section(curve: GallerySizeCurve, images: Path, *, drawn: bool) -> Section:
    """Show mAP by gallery size; ``drawn``: the galleries were drawn at random, not listed."""
    origin = (
        'Galleries drawn at random for every query, each containing the smaller ones; all scenes '
        'with the person stay in. The last is the whole gallery.'
        if drawn
        else "The data set's own galleries, of all sizes that have a file."
    )
    rows = [
        (f'{size:,}', f'{mean:,.1f}', _percent(ap), _percent(top1))
        for size, mean, ap, top1 in zip(
            curve.sizes, curve.mean_scenes, curve.mean_ap, curve.top1, strict=True
        )
    ]
    image = images / 'gallery_size.png'
    draw_gallery_size(curve, image)
    header = ('scenes', 'scenes of a query, mean', 'mAP [%]', 'top-1 [%]')
    return Section('By size of the gallery', origin, [image], header, rows)


def camera_pairs_section(pairs: CameraPairs, images: Path) -> Section:
    """Show mAP of queries from one camera in the scenes of another."""
    image = images / 'camera_pairs.png'
    draw_camera_pairs(pairs, image)
    rows = [
        (
            f'{camera}',
            *(
                f'{_percent(pairs.mean_ap[row, c])} / {_percent(pairs.top1[row, c])}'
                if pairs.num_queries[row, c]
                else '–'
                for c in range(len(pairs.cameras))
            ),
        )
        for row, camera in enumerate(pairs.cameras)
    ]
    text = (
        "mAP / top-1 in percent of the queries of one camera (row) in one camera's scenes alone "
        '(column). Only queries whose person is in such a scene, beside their own, count.'
    )
    header = ('query camera', *(f'in {camera}' for camera in pairs.cameras))
    return Section('By camera pair', text, [image], header, rows)


def box_height_section(groups: QueryGroups, images: Path) -> Section:
    """Show figures by the height of the query's box."""
    text = (
        'Equally many queries in each group, a border in the lower one. Targets detected: the '
        "share of the targets' boxes that some detection overlaps; no search can find the others."
    )
    return _groups_section(
        groups,
        images / 'box_height.png',
        title='By height of the query',
        text=text,
        xlabel="height of the query's box [pixels]",
        form='{:.0f}',
    )


def coverage_section(groups: QueryGroups, images: Path) -> Section:
    """Show figures by how much of the query's box is covered by other persons' boxes."""
    text = (
        "No data set says who hides whom. This is the share of the query's box that lies under "
        "other persons' annotated boxes, whether they stand in front or behind. A border is in "
        'the lower group.'
    )
    return _groups_section(
        groups,
        images / 'coverage.png',
        title='By occlusion of the query',
        text=text,
        xlabel="share of the query's box under other annotated boxes",
        form='{:.0%}',
    )


def _groups_section(
    groups: QueryGroups, image: Path, *, title: str, text: str, xlabel: str, form: str
) -> Section:
    draw_query_groups(groups, image, xlabel=xlabel, label=form.format)
    rows = [
        (name, f'{num:,}', _percent(ap), _percent(top1), _percent(found))
        for name, num, ap, top1, found in zip(
            group_names(groups, form.format),
            groups.num_queries,
            groups.mean_ap,
            groups.top1,
            groups.found,
            strict=True,
        )
    ]
    header = ('group', 'queries', 'mAP [%]', 'top-1 [%]', 'targets detected [%]')
    return Section(title, text, [image], header, rows)


def score_sweep_section(sweep: ScoreSweep, images: Path) -> Section:
    """Show detection against search as the score threshold moves."""
    pictures = [images / 'score_sweep.png', images / 'recall_against_search.png']
    draw_score_sweep(sweep, pictures[0])
    draw_recall_against_search(sweep, pictures[1])
    rows = [
        (f'{threshold:g}', f'{num:,}', *(_percent(value) for value in values))
        for threshold, num, *values in zip(
            sweep.thresholds,
            sweep.num_detections,
            sweep.recall,
            sweep.ap,
            sweep.mean_ap,
            sweep.top1,
            strict=True,
        )
    ]
    header = (
        'lowest score',
        'detections',
        'detection recall [%]',
        'detection AP [%]',
        'search mAP [%]',
        'search top-1 [%]',
    )
    text = 'What is kept of the detections from a score on, and what the search makes of it.'
    return Section('Detection against search', text, pictures, header, rows)


def similarity_section(
    curve: SimilarityCurve, points: Sequence[OperatingPoint], images: Path
) -> Section:
    """Show precision and recall by similarity, with thresholds at chosen false-alarm rates."""
    pictures = [images / 'similarity.png', images / 'false_alarms.png']
    draw_similarity(curve, points, pictures[0])
    draw_false_alarms(curve, points, pictures[1])
    rows = [
        (
            f'{point.false_alarm_rate:.2e}',
            f'{point.threshold:.4f}',
            _percent(point.precision),
            _percent(point.recall),
            f'{point.false_alarms_per_query:.3g}',
        )
        for point in points
    ]
    text = (
        'Over all pairs of a query and a detection of its gallery. False-alarm rate: the share of '
        f'all {curve.num_wrong[0]:,} wrong pairs whose similarity reaches the threshold. Recall: '
        f'right pairs that reach it among the {curve.num_targets:,} there are to find.'
    )
    header = (
        'false-alarm rate',
        'lowest similarity',
        'precision [%]',
        'recall [%]',
        'false alarms for a query',
    )
    return Section('By similarity', text, pictures, header, rows)


def worst_queries_section(
    predictions: Predictions, result: SearchResult, queries: np.ndarray, *, more: str | None
) -> Section:
    """List the queries of the lowest average precision.

    Args:
        predictions: what was searched.
        result: of the search.
        queries: the queries to list, by their place in ``result``.
        more: page with their pictures.
    """
    rows = []
    for query in queries:
        found, targets = result.num_found[query], result.num_targets[query]
        first = result.ranked_det[query, 0]
        shown = '–'
        if first >= 0:
            name = predictions.image_names[predictions.det_image[first]]
            mark = 'right' if result.ranked_correct[query, 0] else 'wrong'
            shown = f'{name}: {result.ranked_similarity[query, 0]:.3f}, {mark}'
        rows.append(
            (
                str(predictions.image_names[predictions.query_image[query]]),
                str(predictions.query_pids[query]),
                _percent(result.ap[query]),
                f'{found} of {targets}',
                shown,
            )
        )
    header = ('query', 'person', 'AP [%]', 'targets detected', 'first result')
    text = f'The {len(rows)} queries of the lowest average precision, of those with any target.'
    return Section('Worst queries', text, header=header, rows=rows, more=more)


def _percent(fraction: float) -> str:
    return '–' if np.isnan(fraction) else f'{100 * fraction:.1f}'
