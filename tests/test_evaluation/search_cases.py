"""Searches on lists of tuples: evaluated by mmps and, image by image, by the plain implementation.

Embeddings, scores and what a re-ranking adds are multiples of 1/4 and small, so that float32 holds
every similarity exactly and ties are ties however they are computed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import naive_evaluation as naive
import numpy as np

from mmps.evaluation.functional import Protocol, evaluate_search

TOPK = (1, 5, 10)


def shuffle_similarities(query, det, similarities):
    """A re-ranking for tests: lifts some detections and leaves out others."""
    similarities += ((7 * det + 3 * query) % 5).astype(np.float32) / 4
    similarities[(det + query) % 7 == 0] = -np.inf


@dataclass
class SearchCase:
    """``dets``: (image, box, score, embedding); ``gts``: (image, box, pid); ``queries``: (image,
    pid, embedding); ``cameras``: one per image, None if they do not matter; ``lists``: the listed
    images of each query, None if there are none."""

    num_images: int
    dets: list
    gts: list
    queries: list
    cameras: list | None = None
    lists: list | None = None
    full_set: bool = False
    num_to_find: list | None = None
    chosen_queries: list | None = None
    strict: bool = False
    rerank: Callable | None = None
    cws: bool = True
    score_thr: float = 0.5
    iou_thr: float = 0.5

    @property
    def searched(self):
        """The numbers of the queries that are searched for."""
        return range(len(self.queries)) if self.chosen_queries is None else self.chosen_queries

    def protocol(self):
        queries = [self.queries[number] for number in self.searched]
        targets = [[n for n, gt in enumerate(self.gts) if gt[2] == pid] for _, pid, _ in queries]
        optional = {}
        if self.cameras is not None:
            optional['image_group'] = np.array(self.cameras, np.int64)
            optional['query_group'] = integers(self.cameras[image] for image, *_ in queries)
        if self.lists is not None:
            lists = [self.lists[number] for number in self.searched]
            optional['gallery_indptr'] = np.cumsum([0, *map(len, lists)])
            optional['gallery_images'] = integers(image for images in lists for image in images)
        if self.num_to_find is not None:
            optional['num_to_find'] = integers(self.num_to_find[n] for n in self.searched)
        if self.chosen_queries is not None:
            optional['queries'] = np.array(self.chosen_queries, np.int64)
        return Protocol(
            num_images=self.num_images,
            target_image=integers(gt[0] for gt in self.gts),
            target_bboxes=rows((gt[1] for gt in self.gts), 4),
            target_indptr=np.cumsum([0, *map(len, targets)]),
            target_indices=integers(n for numbers in targets for n in numbers),
            own_image=integers(image for image, *_ in queries),
            full_set=self.full_set,
            **optional,
        )

    def arrays(self):
        """The arguments of evaluate_search that hold detections and queries."""
        return {
            'query_embeddings': rows((q[2] for q in self.queries), 2),
            'det_embeddings': rows((d[3] for d in self.dets), 2),
            'det_image': integers(d[0] for d in self.dets),
            'det_bboxes': rows((d[1] for d in self.dets), 4),
            'det_scores': np.array([d[2] for d in self.dets], np.float32),
        }

    def evaluate(self, **options):
        return evaluate_search(
            **self.arrays(),
            protocol=self.protocol(),
            score_thr=self.score_thr,
            iou_thr=self.iou_thr,
            cws=self.cws,
            matching='strict' if self.strict else 'published',
            rerank=self.rerank,
            **{'topk': TOPK, **options},
        )

    def evaluate_plainly(self, number):
        """The same for one query, by the plain implementation."""
        embedding = np.array(self.queries[number][2], np.float32)
        rerank = None
        if self.rerank is not None:

            def rerank(det, similarities):
                self.rerank(number, det, similarities)

        num_to_find = None
        if self.num_to_find is not None and not self.strict:
            num_to_find = self.num_to_find[number]
        return naive.search(
            embedding,
            list(self._gallery(number)),
            TOPK,
            strict=self.strict,
            iou_thr=self.iou_thr,
            num_to_find=num_to_find,
            rerank=rerank,
        )

    def _gallery(self, number):
        """The images of a query's gallery as the plain implementation wants them."""
        own, pid, _ = self.queries[number]
        listed = [] if self.lists is None else self.lists[number]
        twice = self.full_set and not self.strict
        if self.lists is None or self.full_set:
            for image in range(self.num_images):
                same_camera = self.cameras is not None and self.cameras[image] == self.cameras[own]
                if image == own or same_camera:
                    continue
                is_target = not (twice and image in listed)
                yield self._image(image, pid if is_target else None, is_reranked=not twice)
        if self.lists is not None and (twice or not self.full_set):
            for image in listed:
                yield self._image(image, pid, is_reranked=True)

    def _image(self, image, pid, *, is_reranked):
        index = [n for n, d in enumerate(self.dets) if d[0] == image and d[2] >= self.score_thr]
        scores = np.array([self.dets[n][2] if self.cws else 1 for n in index], np.float32)
        return {
            'index': np.array(index, np.int64),
            'bboxes': rows((self.dets[n][1] for n in index), 4),
            'features': rows((self.dets[n][3] for n in index), 2) * scores[:, None],
            'targets': [box for where, box, who in self.gts if (where, who) == (image, pid)],
            'is_reranked': is_reranked,
        }


def integers(values):
    return np.array(list(values), np.int64)


def rows(values, columns):
    return np.array(list(values), np.float32).reshape(-1, columns)
