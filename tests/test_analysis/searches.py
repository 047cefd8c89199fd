"""Small searches, written down box by box."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmps.evaluation import SearchResult, identity_protocol
from mmps.evaluation.analysis import SearchInputs

BOX, OTHER = (0, 0, 50, 100), (200, 0, 250, 100)


def make_inputs(
    dets: Sequence[tuple], gts: Sequence[tuple], queries: Sequence[tuple], *, num_images: int
) -> SearchInputs:
    """A search without weights or score threshold; similarities are written down directly.

    Args:
        dets: (image, box, similarity to every query).
        gts: (image, box, pid).
        queries: (image, pid).
        num_images: number of images.
    """
    image, pid = np.array(queries, np.int64).reshape(-1, 2).T
    similarity = np.array([d[2] for d in dets], np.float32)
    return SearchInputs(
        query_embeddings=np.tile(np.array([1, 0], np.float32), (len(queries), 1)),
        det_embeddings=np.stack([similarity, np.zeros_like(similarity)], axis=1),
        det_image=np.array([d[0] for d in dets], np.int64),
        det_bboxes=np.array([d[1] for d in dets], np.float32).reshape(-1, 4),
        det_scores=np.ones(len(dets), np.float32),
        protocol=identity_protocol(
            np.array([g[0] for g in gts], np.int64),
            np.array([g[1] for g in gts], np.float32).reshape(-1, 4),
            gt_pids=np.array([g[2] for g in gts], np.int64),
            query_image=image.copy(),
            query_pids=pid.copy(),
            num_images=num_images,
        ),
        score_thr=0,
        cws=False,
    )


def make_result(**arrays: Any) -> SearchResult:
    """The result of a search of which only some arrays matter: the others are empty.

    Args:
        **arrays: fields of :class:`SearchResult`, as lists.
    """
    fields = {name: np.asarray(value) for name, value in arrays.items()}
    empty = {name: np.zeros(0) for name in SearchResult.__dataclass_fields__}
    return SearchResult(**{**empty, **fields})
