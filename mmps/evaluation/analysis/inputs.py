"""A search as data: what is searched, how, and one call that runs it."""

from dataclasses import dataclass, replace

import numpy as np

from mmps.evaluation.functional.person_search import search_arguments
from mmps.evaluation.functional.protocol import Protocol
from mmps.evaluation.functional.ranking import Reranker, SearchResult, evaluate_search
from mmps.evaluation.functional.search import Matching, Search
from mmps.evaluation.predictions import Predictions


@dataclass(frozen=True)
class SearchInputs:
    """The arguments of :func:`~mmps.evaluation.functional.ranking.evaluate_search`, held together.

    An analysis varies one of them with :func:`dataclasses.replace` and evaluates again, so that
    every figure of it comes from the one ranking function. Attributes as documented there.
    """

    query_embeddings: np.ndarray
    det_embeddings: np.ndarray
    det_image: np.ndarray
    det_bboxes: np.ndarray
    det_scores: np.ndarray
    protocol: Protocol
    score_thr: float = 0.5
    iou_thr: float = 0.5
    cws: bool = True
    matching: Matching = 'published'

    def __post_init__(self) -> None:
        if self.protocol.num_queries == 0:
            raise ValueError('There are no queries: without them there is no search to analyse')

    def evaluate(self, *, num_ranked: int = 1, rerank: Reranker | None = None) -> SearchResult:
        """Search; top-1 is the only top-k.

        Args:
            num_ranked: how many ranks of each query to keep.
            rerank: sees, and may change, the similarities of each query.
        """
        return evaluate_search(
            self.query_embeddings,
            self.det_embeddings,
            det_image=self.det_image,
            det_bboxes=self.det_bboxes,
            det_scores=self.det_scores,
            protocol=self.protocol,
            score_thr=self.score_thr,
            iou_thr=self.iou_thr,
            cws=self.cws,
            topk=(1,),
            num_ranked=num_ranked,
            matching=self.matching,
            rerank=rerank,
        )

    def refuse_full_set(self) -> None:
        """Refuse protocols in which scenes count twice, before pairs or scenes are counted.

        Raises:
            ValueError: if the protocol is of a ``full_set``.
        """
        if self.protocol.full_set:
            raise ValueError(
                'The full set of CUHK-SYSU, as the published evaluation takes it, ranks the scenes '
                'of TestG50 twice: choose a gallery_size for this analysis'
            )


def search_inputs(predictions: Predictions, search: Search) -> tuple[Predictions, SearchInputs]:
    """What a search among predictions hands to the ranking, to be varied.

    Args:
        predictions: of a whole test set.
        search: how to search; among detections and without CBGM.

    Returns:
        The predictions, with those queries alone that the protocol searches for, and the inputs:
        query i of the one is query i of the other.

    Raises:
        ValueError: if the search re-ranks by context or searches in annotated boxes, if there are
            no queries, or if the protocol is not possible.
    """
    if search.cbgm is not None or search.gallery != 'detections':
        raise ValueError(
            'The analysis is of a plain search among detections: choose one without cbgm and with '
            "gallery='detections'"
        )
    arguments = search_arguments(predictions, search)
    del arguments['rerank']
    inputs = SearchInputs(**arguments)
    queries = inputs.protocol.queries
    if queries is None:
        return predictions, inputs
    reduced = replace(
        predictions,
        query_image=predictions.query_image[queries],
        query_bboxes=predictions.query_bboxes[queries],
        query_pids=predictions.query_pids[queries],
        query_ids=predictions.query_ids[queries],
        query_embeddings=predictions.query_embeddings[queries],
    )
    return reduced, replace(
        inputs,
        query_embeddings=reduced.query_embeddings,
        protocol=replace(inputs.protocol, queries=None),
    )
