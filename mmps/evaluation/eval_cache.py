"""Features that SeqNet's and OIMNet++'s code keep after an evaluation, as predictions.

Both write ``eval_cache/eval_cache.pth`` with ``torch.save``: a dict of lists, one array for each
image of the gallery or each query, in the order of the data set. COAT and others kept the format.

Shape shorthand: I images, Q queries, n detections of an image, D size of an embedding.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .dataset_arrays import dataset_arrays
from .predictions import Predictions

# key -> (what the list has an entry for, rows and columns of an entry, None where they vary)
_LISTS: Mapping[str, tuple[str, int | None, int | None]] = {
    'gallery_dets': ('image', None, 5),
    'gallery_feats': ('image', None, None),
    'query_dets': ('query', None, 5),
    'query_box_feats': ('query', 1, None),
}
_NORM_TOLERANCE = 5e-3  # that of half precision, in which some compute embeddings
_BOX_TOLERANCE = 1.0  # pixels: their query boxes were scaled to the network's input and back


def load_eval_cache(path: str | os.PathLike[str]) -> dict[str, list[np.ndarray]]:
    """Read an ``eval_cache.pth`` without executing anything that it may hold.

    Args:
        path: what the authors' code wrote.

    Returns:
        ``gallery_dets``: for each image (n, 5), x1, y1, x2, y2, score; ``gallery_feats``: (n, D);
        ``query_dets``: for each query the (n, 5) detections of its image, itself among them;
        ``query_box_feats``: (1, D). All float32.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, holds more than arrays, lacks a key or has an entry of
            another shape; the message names the file and the entry.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'No eval_cache file {path}')
    try:
        # NumPy's arrays are allowed by `mmps.compat`; those without entries ask for `bytes` too.
        with torch.serialization.safe_globals([bytes]):
            content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # a damaged file takes PyTorch's reader anywhere
        reason = f'{type(error).__name__}: {error}'.partition('\n')[0]
        raise ValueError(
            f'{path} is not a readable eval_cache: cut short, of another kind, or with more in it '
            f'than arrays, which is not opened; PyTorch must be 2.6 or newer ({reason})'
        ) from error
    missing = [key for key in _LISTS if not isinstance(content, dict) or key not in content]
    if missing:
        raise ValueError(
            f"{path} has no {', '.join(missing)}: it is not an eval_cache of SeqNet's code"
        )
    cache = {}
    for key, (_, *shape) in _LISTS.items():
        if not isinstance(content[key], list | tuple):
            raise ValueError(f'{path}: {key} is a {type(content[key]).__name__}, not a list')
        cache[key] = [
            _as_float32(entry, shape, f'{path}: {key}[{index}]')
            for index, entry in enumerate(content[key])
        ]
    return cache


def predictions_from_eval_cache(
    cache: Mapping[str, Sequence[np.ndarray]],
    items: Sequence[Mapping[str, Any]],
    *,
    searches: Mapping[str, Mapping[str, Any]] = {'search': {}},
) -> Predictions:
    """Combine cached features with the data set that they are of.

    SeqNet's gallery embeddings are multiplied by the detection score (CWS), OIMNet++'s are not;
    their norms tell. The result records searches with ``cws`` set so, which gives the figures of
    that code; its embeddings have norm 1 as in all predictions. ``query_dets`` are only compared
    with the data set's queries: CBGM takes its context from the detections of the query's image.

    Args:
        cache: what :func:`load_eval_cache` gives.
        items: of the data set's gallery, in its order, which is that of the authors' loaders.
        searches: settings of the searches to record, as of
            :class:`~mmps.evaluation.metrics.PersonSearchMetric`; those among the ground truth,
            which is not embedded, are left out.

    Returns:
        Predictions with image sizes of 0, for unknown, and without embeddings of ground truth.

    Raises:
        ValueError: if the cache is of another data set, or an embedding's norm is neither 1 nor
            its detection's score; the message names the image or query.
    """
    arrays = dataset_arrays(items)
    names = arrays['image_names']
    for key, (kind, *_) in _LISTS.items():
        expected = len(names if kind == 'image' else arrays['query_ids'])
        if len(cache[key]) != expected:
            raise ValueError(
                f'{key} has {len(cache[key])} entries, one for each {kind}, but the data set has '
                f'{expected}: the eval_cache is of another data set, or of another version of it'
            )
    for name, dets, embeddings in zip(
        names, cache['gallery_dets'], cache['gallery_feats'], strict=True
    ):
        if len(dets) != len(embeddings):
            raise ValueError(f"'{name}' has {len(dets)} detections, but {len(embeddings)} features")
    _check_queries(cache['query_dets'], arrays)

    features = [*cache['query_box_feats'], *cache['gallery_feats']]
    dim = next((entry.shape[1] for entry in features if len(entry)), 0)
    dets = _stack(cache['gallery_dets'], 5, 'gallery_dets')
    det_image = np.repeat(np.arange(len(names)), [len(entry) for entry in cache['gallery_dets']])
    embeddings = _stack(cache['gallery_feats'], dim, 'gallery_feats')
    weighted = _are_weighted(embeddings, dets[:, 4], names[det_image])
    recorded = {
        name: {**settings, 'cws': weighted}
        for name, settings in searches.items()
        if settings.get('gallery') != 'ground_truth'
    }
    return Predictions(
        **arrays,
        image_sizes=np.zeros((len(names), 2), np.int64),
        det_image=det_image,
        det_bboxes=dets[:, :4],
        det_scores=dets[:, 4],
        det_embeddings=_normalised(embeddings),
        gt_embeddings=np.zeros((len(arrays['gt_image']), 0), np.float32),
        query_embeddings=_normalised(_stack(cache['query_box_feats'], dim, 'query_box_feats')),
        meta={'source': 'eval_cache', 'evaluation': {'searches': recorded}},
    )


def _as_float32(entry: Any, shape: Sequence[int | None], where: str) -> np.ndarray:
    array = entry.numpy() if isinstance(entry, torch.Tensor) else entry
    if (
        not isinstance(array, np.ndarray)
        or array.dtype.kind != 'f'
        or array.ndim != 2
        or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True))
    ):
        found = f'{array.dtype} {array.shape}' if isinstance(array, np.ndarray) else type(array)
        raise ValueError(
            f'{where} must be a float array ({shape[0] or "n"}, {shape[1] or "D"}), not {found}'
        )
    return array.astype(np.float32)


def _stack(entries: Sequence[np.ndarray], columns: int, key: str) -> np.ndarray:
    """All rows of a list; what has no rows may have any number of columns."""
    for index, entry in enumerate(entries):
        if len(entry) and entry.shape[1] != columns:
            raise ValueError(f'{key}[{index}] has {entry.shape[1]} columns, expected {columns}')
    return np.concatenate([np.zeros((0, columns), np.float32), *(e for e in entries if len(e))])


def _check_queries(query_dets: Sequence[np.ndarray], arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse detections of a query's image without the query's box: another order of queries."""
    for index, (dets, bbox) in enumerate(zip(query_dets, arrays['query_bboxes'], strict=True)):
        if not (np.abs(dets[:, :4] - bbox) <= _BOX_TOLERANCE).all(axis=1).any():
            name = arrays['image_names'][arrays['query_image'][index]]
            raise ValueError(
                f"query_dets[{index}] lacks the box {bbox.tolist()} of query {index} on '{name}', "
                "which the authors' code puts among them: the eval_cache is of other queries or "
                'of another order'
            )


def _are_weighted(embeddings: np.ndarray, scores: np.ndarray, names: np.ndarray) -> bool:
    """Whether embeddings (N, D) were multiplied by scores (N,); all or none of them are."""
    norms = np.linalg.norm(embeddings, axis=1)
    wrong = {
        weighted: np.flatnonzero(~(np.abs(norms - expected) <= _NORM_TOLERANCE))
        for weighted, expected in ((True, scores), (False, np.ones_like(scores)))
    }
    weighted = len(wrong[True]) <= len(wrong[False])
    if len(wrong[weighted]):
        first = wrong[weighted][0]
        raise ValueError(
            f"a feature of '{names[first]}' has norm {norms[first]:.4f}: features must have norm 1 "
            f'or, as SeqNet weights them, that of their score ({scores[first]:.4f} here)'
        )
    return weighted


def _normalised(embeddings: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(norms, np.finfo(np.float32).tiny))
