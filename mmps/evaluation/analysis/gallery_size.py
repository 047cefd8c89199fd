"""How much harder a search becomes as its gallery grows.

Shape shorthand: S sizes, Q queries, I images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmps.evaluation.functional.protocol import Protocol
from mmps.evaluation.functional.ranking import Reranker

from .inputs import SearchInputs


@dataclass(frozen=True)
class GallerySizeCurve:
    """Figures by the size of the gallery.

    Args:
        sizes: scenes a query is searched in, as asked for, (S,) int64, ascending.
        mean_scenes: the scenes it really is searched in, mean over all queries, (S,): more than
            asked for where a person is in more scenes than that, since all of them are kept, and
            fewer where the protocol has no more.
        mean_ap: (S,), fractions.
        top1: (S,), fractions.
    """

    sizes: np.ndarray
    mean_scenes: np.ndarray
    mean_ap: np.ndarray
    top1: np.ndarray


def random_gallery_curve(
    inputs: SearchInputs,
    *,
    sizes: Sequence[int] = (50, 100, 200, 500, 1000, 2000, 4000),
    seed: int = 0,
) -> GallerySizeCurve:
    """Search in random galleries of growing size, for any data set.

    The gallery of a query consists of every scene of its protocol's gallery that holds its target
    and, up to the size, of others drawn at random: for each query by itself, without repetition,
    and so that a larger gallery contains every smaller one. The last point is the whole gallery;
    sizes that are no smaller are left out.

    Args:
        inputs: the search; its protocol says what the galleries are drawn from.
        sizes: numbers of scenes.
        seed: of the random draws.

    Raises:
        ValueError: if a size is not positive, or if scenes count twice (``Protocol.full_set``).
    """
    inputs.refuse_full_set()
    if min(sizes, default=1) < 1:
        raise ValueError(f'sizes of galleries must be positive, got {tuple(sizes)}')
    whole = _num_scenes(inputs.protocol)
    target_scenes = _TargetScenes(inputs.protocol)
    asked = [*sorted({size for size in sizes if size < whole.max()}), int(whole.max())]
    results = [
        inputs.evaluate(rerank=_draw_gallery(inputs, target_scenes, size=size, seed=seed))
        for size in asked[:-1]
    ]
    results.append(inputs.evaluate())
    summaries = [result.summary() for result in results]
    return GallerySizeCurve(
        sizes=np.array(asked),
        mean_scenes=np.array([np.clip(size, target_scenes.counts, whole).mean() for size in asked]),
        mean_ap=np.array([summary['mAP'] for summary in summaries]),
        top1=np.array([summary['top1'] for summary in summaries]),
    )


def listed_gallery_curve(galleries: Mapping[int, SearchInputs]) -> GallerySizeCurve:
    """Search in galleries that a data set lists itself (CUHK-SYSU's TestG50 to TestG4000).

    Args:
        galleries: size -> the same search with the protocol of that size.
    """
    sizes = sorted(galleries)
    summaries = [galleries[size].evaluate().summary() for size in sizes]
    return GallerySizeCurve(
        sizes=np.array(sizes),
        mean_scenes=np.array([_num_scenes(galleries[n].protocol).mean() for n in sizes]),
        mean_ap=np.array([summary['mAP'] for summary in summaries]),
        top1=np.array([summary['top1'] for summary in summaries]),
    )


class _TargetScenes:
    """The scenes of each query's gallery that hold its target, each once."""

    def __init__(self, protocol: Protocol) -> None:
        query, target = protocol.targets()
        keys = np.unique(query * protocol.num_images + protocol.target_image[target])
        self._scenes = keys % protocol.num_images
        starts = np.arange(protocol.num_queries + 1) * protocol.num_images
        self._indptr = np.searchsorted(keys, starts)
        self.counts = np.diff(self._indptr)

    def of(self, query: int) -> np.ndarray:
        return self._scenes[self._indptr[query] : self._indptr[query + 1]]


def _draw_gallery(
    inputs: SearchInputs, target_scenes: _TargetScenes, *, size: int, seed: int
) -> Reranker:
    """A re-ranking that leaves out what is not in the random gallery.

    No target is left out, so that what is right and how much there is to find stay as they are.
    """

    def draw(query: int, det: np.ndarray, similarities: np.ndarray) -> None:
        kept = target_scenes.of(query)
        others = np.setdiff1d(inputs.protocol.gallery_of(query), kept, assume_unique=True)
        # The same permutation at every size: larger galleries contain the smaller ones.
        drawn = np.random.default_rng((seed, query)).permutation(others)
        counts = np.zeros(inputs.protocol.num_images, bool)
        counts[kept] = True
        counts[drawn[: max(size - len(kept), 0)]] = True
        similarities[~counts[inputs.det_image[det]]] = -np.inf

    return draw


def _num_scenes(protocol: Protocol) -> np.ndarray:
    """How many images count for each query, (Q,)."""
    return np.array([len(protocol.gallery_of(q)) for q in range(protocol.num_queries)])
