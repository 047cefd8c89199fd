"""Where a model comes from: config and weights, as users name them."""

import difflib
import os
from typing import TypeAlias

from mmengine.config import Config, ConfigDict
from mmengine.infer import BaseInferencer

from .weights import check_weights

Model: TypeAlias = str | os.PathLike[str] | Config | ConfigDict
"""A config file, the name of a model in ``model-index.yml``, or a config."""
Weights: TypeAlias = str | os.PathLike[str]
"""A checkpoint file or its address."""


def find_model(
    model: Model | None, weights: Weights | None
) -> tuple[Config | ConfigDict | None, str | None]:
    """The config and the weights that are meant.

    Args:
        model: None where the weights hold their config.
        weights: None for those that ``model-index.yml`` names for the model, if any.

    Returns:
        The config, None if the weights hold it, and the weights, None if there are none.

    Raises:
        FileNotFoundError: there is no such config or checkpoint file.
        ValueError: neither is given, there is no model of that name, or the weights cannot be read.
    """
    if isinstance(model, os.PathLike):
        model = os.fspath(model)
    if isinstance(model, str) and model.endswith('.py') and not os.path.isfile(model):
        raise FileNotFoundError(f'there is no config file {model}')
    if model is None and weights is None:
        raise ValueError('give a model, or weights that hold their config')
    if weights is not None:
        weights = os.fspath(weights)
        check_weights(weights)
    if not isinstance(model, str):
        return model, weights
    if os.path.isfile(model):
        return Config.fromfile(model), weights
    config, published = _of_model_index(model)
    return config, published if weights is None else weights


def origin_of(model: Model | None, weights: Weights | None) -> dict[str, str | None]:
    """``model`` and ``weights`` as given, files with their whole paths."""
    if not isinstance(model, str | os.PathLike):
        model = getattr(model, 'filename', None)
    return {'model': _whole_path(model), 'weights': _whole_path(weights)}


def _of_model_index(name: str) -> tuple[Config, str | None]:
    folder = BaseInferencer._get_repo_or_mim_dir('mmps')
    entries = {e['Name'].lower(): e for e in BaseInferencer._get_models_from_metafile(folder)}
    if name.lower() not in entries:
        near = difflib.get_close_matches(name.lower(), entries, n=3) or sorted(entries)
        raise ValueError(
            f'{name} is neither a config file nor the name of a model, such as {", ".join(near)}'
        )
    entry = entries[name.lower()]
    return Config.fromfile(os.path.join(folder, entry['Config'])), entry.get('Weights')


def _whole_path(path: str | os.PathLike[str] | None) -> str | None:
    """The whole path of a file; names and addresses stay as they are."""
    if path is None:
        return None
    return os.path.abspath(path) if os.path.isfile(path) else os.fspath(path)
