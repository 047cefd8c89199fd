"""Weights of a model: reading them, checking that they fit, and the model's fingerprint."""

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from torch import Tensor, nn

_MEMORY = 'roi_head.loss_reid.'
"""Of training alone: the table of identities and the queue."""

_WITHOUT_EFFECT = (
    *('train_cfg', 'init_cfg', 'pretrained', 'loss_reid', 'frozen_parameters'),
    'test_cfg',  # says which boxes are kept, not how they are embedded
)


def check_weights(path: str) -> None:
    """Check that a file of weights can be read, before anything is built; addresses are not.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no checkpoint, damaged, or holds more than numbers and names.
    """
    if '://' in path:
        return
    if not os.path.isfile(path):
        raise FileNotFoundError(f'there is no checkpoint file {path}')
    with open(path, 'rb') as file:
        if not file.read(2).startswith((b'PK', b'\x80')):  # of a zip archive, of an old checkpoint
            raise ValueError(f'{path} is no checkpoint: it was not written by torch.save')
    try:
        # Memory-mapped where that is possible: the tensors are not read twice.
        torch.load(path, map_location='cpu', mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged pickle can lead to about any
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise ValueError(
            f'{path} is no checkpoint, damaged, or not safe to load ({reason})'
        ) from error


def load_weights(model: nn.Module, checkpoint: Mapping[str, Any]) -> None:
    """Load the weights of a checkpoint into a model.

    The memory of the losses, which only training needs, may be missing or of another size.

    Args:
        model: the model, of any kind.
        checkpoint: as MMEngine reads it.

    Raises:
        ValueError: parameters of the model are missing in it or of another shape.
    """
    state = checkpoint.get('state_dict', checkpoint)
    state = {name.removeprefix('module.'): tensor for name, tensor in state.items()}
    wrong = [
        name
        for name, tensor in model.state_dict().items()
        if not name.startswith(_MEMORY) and (name not in state or state[name].shape != tensor.shape)
    ]
    if wrong:
        raise ValueError(
            f'the weights are not of this model: {len(wrong)} of its parameters are missing or of '
            f'another shape, such as {wrong[0]}. Weights of the code of SeqNet or OIMNet++ are '
            'converted first: mmps convert checkpoint'
        )
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(_MEMORY)}
    _load_checkpoint_to_model(model, {'state_dict': kept}, logger='silent')


def fingerprint(
    model: nn.Module, settings: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]
) -> str:
    """Name of how a model embeds a box of an image: the same for the same embeddings only.

    Args:
        model: the model with its weights; on which device does not matter.
        settings: ``cfg.model``; what only training and the choice of boxes read does not count.
        steps: of its test pipeline.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.sha256()
    digest.update(json.dumps([_plain(settings), _plain(steps)], sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if not name.startswith(_MEMORY):
            digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
            digest.update(_bytes_of(tensor))
    return digest.hexdigest()[:32]


def _bytes_of(tensor: Tensor) -> memoryview:
    # As bytes, since NumPy knows no bfloat16.
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def _plain(value: Any) -> Any:
    """Settings as JSON has them, so that a tuple equals a list and a class its name."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if k not in _WITHOUT_EFFECT}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    return (
        value
        if isinstance(value, str | int | float | None)
        else getattr(value, '__name__', repr(value))
    )
