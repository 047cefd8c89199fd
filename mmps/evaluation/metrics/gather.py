"""Arrays of all processes to the main one, as tensors: nothing is pickled.

MMEngine's ``collect_results`` pickles the results of every process, and holds the pickles of all
of them on every GPU or in files. Here every array travels once, in pieces, to the process that
evaluates.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from mmengine.dist import all_gather, get_comm_device, get_dist_info
from torch import distributed

_PIECE_BYTES = 2**26  # what NCCL needs of a GPU's memory for it


def gather_arrays(arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Collect the arrays of all processes on the main one.

    Every process has to call it, with arrays of the same names, types and numbers of dimensions
    (one or two) in the same order; their sizes may differ, and be 0. Strings are allowed.

    Args:
        arrays: of this process.

    Returns:
        Those of each process, in rank order, on the main process; nothing on the others.
    """
    rank, num_processes = get_dist_info()
    if num_processes == 1:
        return [dict(arrays)]
    device = get_comm_device()
    encoded = _encode_texts(arrays)
    shapes = [(*array.shape, 0)[:2] for array in encoded.values()]
    shapes_of_all = all_gather(torch.tensor(shapes, dtype=torch.int64, device=device))
    if rank != 0:
        for array in encoded.values():
            for piece in _pieces(array):
                distributed.send(piece.to(device), dst=0)
        return []
    gathered = [dict(arrays)]
    for source in range(1, num_processes):
        received = {}
        for shape, (name, own) in zip(shapes_of_all[source].tolist(), encoded.items(), strict=True):
            received[name] = np.empty(shape[: own.ndim], own.dtype)
            for piece in _pieces(received[name]):
                buffer = torch.empty_like(piece, device=device)
                distributed.recv(buffer, src=source)
                piece.copy_(buffer)
        gathered.append(_decode_texts(received, like=arrays))
    return gathered


def _pieces(array: np.ndarray) -> Iterator[torch.Tensor]:
    """An array as flat tensors of limited size, which share its memory."""
    flat = torch.from_numpy(np.ascontiguousarray(array).reshape(-1))
    if len(flat):
        yield from flat.split(max(_PIECE_BYTES // array.itemsize, 1))


def _encode_texts(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of strings as bytes, one string after another, and how many bytes each has."""
    encoded = {}
    for name, array in arrays.items():
        if array.dtype.kind != 'U':
            encoded[name] = array
            continue
        # Names of files need not be valid Unicode.
        texts = [text.encode('utf-8', 'surrogateescape') for text in array.tolist()]
        encoded[name] = np.frombuffer(bytearray(b''.join(texts)), np.uint8)
        encoded[_lengths_of(name)] = np.array([len(text) for text in texts], np.int64)
    return encoded


def _decode_texts(
    encoded: Mapping[str, np.ndarray], *, like: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What :func:`_encode_texts` was given, the names and types of which ``like`` has."""
    arrays = {}
    for name, array in like.items():
        arrays[name] = encoded[name]
        if array.dtype.kind == 'U':
            joined, ends = encoded[name].tobytes(), np.cumsum(encoded[_lengths_of(name)])
            starts = ends - encoded[_lengths_of(name)]
            texts = [joined[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
            arrays[name] = np.array(
                [text.decode('utf-8', 'surrogateescape') for text in texts], str
            )
    return arrays


def _lengths_of(name: str) -> str:
    return f'{name}:lengths'
