"""Searches made up in memory, as large as one likes."""

from dataclasses import dataclass

import numpy as np

from mmps.evaluation.functional import Protocol, SearchResult, evaluate_search, identity_protocol


@dataclass(frozen=True)
class Search:
    """A search to time: the arguments of evaluate_search."""

    name: str
    arrays: dict[str, np.ndarray]
    protocol: Protocol
    limit: float | None = None

    def run(self) -> SearchResult:
        """Evaluate it once."""
        arrays = self.arrays
        return evaluate_search(
            query_embeddings=arrays['query_embeddings'],
            det_embeddings=arrays['det_embeddings'],
            det_bboxes=arrays['det_bboxes'],
            det_scores=arrays['det_scores'],
            det_image=arrays['det_image'],
            protocol=self.protocol,
        )


def make_boxes(rng: np.random.Generator, num: int) -> np.ndarray:
    """Boxes of persons in frames of 1920 x 1080, (num, 4)."""
    height = rng.uniform(60, 400, num)
    corner = np.stack([rng.uniform(0, 1800, num), rng.uniform(0, 1000, num)], axis=1)
    return np.concatenate([corner, corner + np.stack([0.4 * height, height], 1)], 1).astype('f4')


def make_arrays(
    rng: np.random.Generator, pids: np.ndarray, *, query_pids: np.ndarray, dim: int
) -> dict[str, np.ndarray]:
    """What a model might find: a detection for each of ``pids``, -1 for somebody else."""
    prototypes = rng.standard_normal((max(pids.max(), query_pids.max()) + 1, dim), 'f4')

    def embed(pids: np.ndarray) -> np.ndarray:
        x = rng.standard_normal((len(pids), dim), 'f4')
        x[pids >= 0] += 0.6 * prototypes[pids[pids >= 0]]
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        return x

    return {
        'query_embeddings': embed(query_pids),
        'det_embeddings': embed(pids),
        'det_bboxes': make_boxes(rng, len(pids)),
        'det_scores': rng.uniform(0.5, 1, len(pids)).astype('f4'),
    }


def make_prw(
    num_dets: int,
    *,
    dim: int,
    seed: int,
    num_queries: int = 2057,
    num_images: int = 6112,
    num_persons: int = 450,
) -> Search:
    """PRW's test set: half of the detections show one of the persons that are searched for."""
    rng = np.random.default_rng(seed)
    det_image = np.sort(rng.integers(0, num_images, num_dets))
    pids = np.where(rng.random(num_dets) < 0.5, rng.integers(0, num_persons, num_dets), -1)
    query = rng.choice(np.flatnonzero(pids >= 0), num_queries)
    arrays = make_arrays(rng, pids, query_pids=pids[query], dim=dim)
    jitter = rng.normal(0, 4, (num_dets, 4)).astype('f4')
    protocol = identity_protocol(
        det_image,
        arrays['det_bboxes'] + jitter,
        gt_pids=pids,
        query_image=det_image[query],
        query_pids=pids[query],
        num_images=num_images,
    )
    return Search('PRW', {**arrays, 'det_image': det_image}, protocol, limit=1.5)
