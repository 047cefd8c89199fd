"""The versioned .npz file of predictions: written all or nothing, read without pickle."""

import json
import os
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmps.files import whole_file

FORMAT = 'mmps.predictions'
FORMAT_VERSION = 2
_NEW_IN_VERSION_2 = frozenset({'sequence_ids', 'gt_embeddings'})


def write_predictions_file(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], *, meta: dict[str, Any]
) -> None:
    """Write arrays and ``meta`` to a file, all of it or nothing; its folder is made if need be.

    Raises:
        ValueError: if ``path`` does not end in .npz or ``meta`` is not JSON.
    """
    target = Path(path)
    if target.suffix != '.npz':
        raise ValueError(f"Predictions are saved as .npz, got path='{target}'")
    try:
        text = json.dumps(meta)
    except (TypeError, ValueError) as error:
        raise ValueError(f'Predictions.meta must be JSON: {error}') from error
    contents: dict[str, Any] = {
        'format': FORMAT,
        'format_version': FORMAT_VERSION,
        'meta': text,
        **arrays,
    }
    with whole_file(target) as file:
        np.savez(file, **contents)


def read_predictions_file(
    path: str | os.PathLike[str], *, names: Collection[str]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read arrays and ``meta``; those of version 1 get what version 2 added, as unknown.

    Args:
        path: a .npz file.
        names: of the arrays that the file must have, of the current version.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, of another kind or of a newer version, or if its arrays
            are not those wanted.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'No prediction file {path}')
    arrays = _read_arrays(path)
    version = arrays.pop('format_version', np.array(0))
    if str(arrays.pop('format', '')) != FORMAT or version.shape or version.dtype.kind not in 'iu':
        raise ValueError(f'{path} is a .npz file, but not of mmps predictions')
    if version not in (1, FORMAT_VERSION):
        raise ValueError(
            f'{path} has version {version} of the prediction format, this mmps reads '
            f'versions 1 to {FORMAT_VERSION}: use the mmps that wrote it, or write it again'
        )
    expected = {*names, 'meta'} - (_NEW_IN_VERSION_2 if version == 1 else set())
    if arrays.keys() != expected:
        raise ValueError(
            f'{path}: missing arrays {sorted(expected - arrays.keys())}, '
            f'unknown arrays {sorted(arrays.keys() - expected)}'
        )
    try:
        meta = json.loads(str(arrays.pop('meta')))
    except ValueError as error:
        raise ValueError(f'{path}: meta is not JSON: {error}') from error
    if not isinstance(meta, dict):
        raise ValueError(f'{path}: meta must be a dict, got {type(meta).__name__}')
    if version == 1:
        arrays['sequence_ids'] = np.full(arrays['image_names'].shape, -1)
        arrays['gt_embeddings'] = np.zeros((*arrays['gt_image'].shape, 0), np.float32)
        meta = _meta_of_version_1(meta)
    return arrays, meta


def _read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (
        OSError,
        EOFError,
        ValueError,
        AttributeError,  # np.load gives a bare array for a .npy file (Python 3.10)
        TypeError,  # the same in later versions of Python
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(
            f'{path} is not a readable prediction file ({type(error).__name__}: {error}); '
            'it may have been cut short: write it again with the `dump` of PersonSearchMetric'
        ) from error


def _meta_of_version_1(meta: dict[str, Any]) -> dict[str, Any]:
    """Settings of the evaluation, which version 1 recorded flat, as named searches."""
    if not isinstance(meta.get('evaluation'), dict):
        return meta
    old = meta['evaluation']
    search = {key: old[key] for key in ('score_thr', 'iou_thr', 'cws') if key in old}
    searches = {'search': search}
    if old.get('cross_camera'):
        protocol = {'type': 'mmps.prw_protocol', 'cross_camera': True}
        searches['search_cross_camera'] = {**search, 'protocol': protocol}
    kept = {key: old[key] for key in ('det_score_thr', 'topk') if key in old}
    return {**meta, 'evaluation': {'searches': searches, **kept}}
