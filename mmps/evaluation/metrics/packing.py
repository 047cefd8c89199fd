"""What a process found on its images, packed into few arrays: to send, and to make predictions of.

A *result* holds the arrays of one image and a *pack* those of any number of images, both named as
in :class:`~mmps.evaluation.predictions.Predictions`; in a pack ``det_image``, ``gt_image`` and
``query_image`` count its own images. Both also have the ``img_ids`` of the data set.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmps.evaluation.functional.ranges import expand_ranges
from mmps.evaluation.predictions import ARRAYS

Pack = dict[str, np.ndarray]
_IMAGE_OF = ('det_image', 'gt_image', 'query_image')
# What to count a result's rows by: embeddings may be left out where there is nobody.
_COUNTED = {'det_image': 'det_scores', 'gt_image': 'gt_pids', 'query_image': 'query_ids'}


def pack_results(results: Sequence[Mapping[str, Any]]) -> Pack:
    """Put the results of images together.

    Args:
        results: arrays and numbers of each image; matrices may have (0, 0) elements where there
            is nobody.

    Returns:
        Contiguous arrays of the types that ``Predictions`` has, with the same names for any
        number of results, none included.
    """
    pack = {'img_ids': np.array([result['img_ids'] for result in results], np.int64)}
    for name, (dtype, columns, rows_of) in ARRAYS.items():
        if name in _IMAGE_OF:
            counts = [len(result[_COUNTED[name]]) for result in results]
            pack[name] = np.repeat(np.arange(len(results)), counts)
        elif rows_of in _IMAGE_OF:
            shape = (0,) if columns is None else (0, columns if columns == 4 else 0)
            pieces = [np.zeros(shape, dtype), *(result[name] for result in results)]
            pack[name] = _concatenate(pieces).astype(dtype, casting='same_kind', copy=False)
        else:
            pack[name] = np.array([result[name] for result in results], dtype)
            if isinstance(columns, int):
                pack[name] = pack[name].reshape(-1, columns)
    return pack


def merge_packs(packs: Sequence[Pack]) -> dict[str, np.ndarray]:
    """Arrays of ``Predictions`` from the packs of all processes.

    Images are ordered by ``img_id``, queries by ``query_id``, as if one process had seen them all.
    An image that occurs twice, because a sampler padded the share of a process, counts once.

    Args:
        packs: at least one, of :func:`pack_results`.
    """
    shifts = np.cumsum([0, *(len(pack['img_ids']) for pack in packs)])
    arrays = {}
    for name in packs[0]:
        pieces = [pack[name] for pack in packs]
        if name in _IMAGE_OF:
            pieces = [piece + shift for piece, shift in zip(pieces, shifts, strict=False)]
        arrays[name] = _concatenate(pieces)
    _select_images(arrays, _unique_images(arrays.pop('img_ids'), arrays['image_names']))

    order = np.argsort(arrays['query_ids'], kind='stable')
    for name in arrays:
        if name.startswith('query_'):
            arrays[name] = arrays[name][order]
    # Where nobody was detected or nobody is looked for, the size of an embedding is not known.
    dim = max(arrays['det_embeddings'].shape[1], arrays['query_embeddings'].shape[1])
    for name in ('det_embeddings', 'query_embeddings'):
        if len(arrays[name]) == 0:
            arrays[name] = np.zeros((0, dim), np.float32)
    return arrays


def _concatenate(pieces: Sequence[np.ndarray]) -> np.ndarray:
    """Join pieces; of those without rows, whose width may be unknown, the widest if all are so."""
    filled = [piece for piece in pieces if len(piece)]
    if not filled:
        return max(pieces, key=lambda piece: piece.shape[-1])
    return filled[0] if len(filled) == 1 else np.concatenate(filled)


def _unique_images(img_ids: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Indices of the first of each image, by ascending id."""
    order = np.lexsort((names, img_ids))
    new = np.ones(len(order), bool)
    new[1:] = np.diff(img_ids[order]) != 0
    new[1:] |= names[order][1:] != names[order][:-1]
    return order[new]


def _select_images(arrays: dict[str, np.ndarray], images: np.ndarray) -> None:
    """Keep these images, in this order, and the rows that are on them."""
    for index_of in _IMAGE_OF:
        starts, ends = (
            np.searchsorted(arrays[index_of], images, side=side) for side in ('left', 'right')
        )
        rows = expand_ranges(starts, ends - starts)
        arrays[index_of] = np.repeat(np.arange(len(images)), ends - starts)
        for name, spec in ARRAYS.items():
            if spec.rows_of == index_of != name:
                arrays[name] = arrays[name][rows]
    for name, spec in ARRAYS.items():
        if spec.rows_of == 'image_names':
            arrays[name] = arrays[name][images]
