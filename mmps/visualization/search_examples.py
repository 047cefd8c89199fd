"""Searches to look at: a few queries of an evaluation with their best results."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmps.evaluation import Predictions, SearchResult

from .person_search_visualizer import RankedResult
from .scenes import Boxes, find_scene


@dataclass(frozen=True)
class SearchExample:
    """A query and its best results.

    Attributes:
        image: File of the query's scene.
        bbox: The person looked for, x1, y1, x2, y2 in pixels of that scene.
        pid: The person's identity.
        average_precision: Of the whole search, 0 to 1.
        num_true: In how many gallery scenes the person is.
        results: The best results, the most similar first.
    """

    image: Path
    bbox: Boxes
    pid: int
    average_precision: float
    num_true: int
    results: tuple[RankedResult, ...]


def spread_queries(average_precisions: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """Choose queries that show a model as it is: equally spaced from its best to its worst.

    Args:
        average_precisions: Of all queries, (Q,). Queries of equal precision keep their order.
        count: How many to choose; all, if there are no more.

    Returns:
        Indices of the queries, (min(count, Q),), the best first and the worst last.
    """
    order = np.argsort(-average_precisions, kind='stable')
    places = np.linspace(0, len(order) - 1, min(count, len(order)))
    return order[np.round(places).astype(np.int64)]


def make_examples(
    predictions: Predictions,
    search: SearchResult,
    *,
    queries: NDArray[np.int64],
    topk: int,
    data_root: str | Path | None = None,
) -> list[SearchExample]:
    """Gather what there is to see of a few queries and their results.

    Args:
        predictions: What was searched.
        search: Its results, of :func:`mmps.evaluation.search_predictions`.
        queries: Which queries to take, for example of :func:`spread_queries`.
        topk: How many results of each to take; fewer where the search kept or found fewer.
        data_root: Folder of the data set, if it has moved since; see
            :func:`~mmps.visualization.scenes.find_scene`.

    Returns:
        The examples, in the order of ``queries``.

    Raises:
        FileNotFoundError: A scene image is missing; the message names it.
    """
    paths = predictions.image_paths

    def example(query: int) -> SearchExample:
        pid = predictions.query_pids[query]
        ranked = search.ranked_det[query, :topk]
        results = []
        for rank, det in enumerate(ranked[ranked >= 0]):
            image = predictions.det_image[det]
            truth = (predictions.gt_image == image) & (predictions.gt_pids == pid)
            result = RankedResult(
                image=find_scene(paths[image], data_root),
                bbox=predictions.det_bboxes[det],
                similarity=float(search.ranked_similarity[query, rank]),
                correct=bool(search.ranked_correct[query, rank]),
                gt_bboxes=predictions.gt_bboxes[truth],
            )
            results.append(result)
        return SearchExample(
            image=find_scene(paths[predictions.query_image[query]], data_root),
            bbox=predictions.query_bboxes[query],
            pid=int(pid),
            average_precision=float(search.ap[query]),
            num_true=int(search.num_targets[query]),
            results=tuple(results),
        )

    return [example(query) for query in queries]
