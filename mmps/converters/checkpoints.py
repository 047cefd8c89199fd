"""Published checkpoints as files: to mmps and back."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from mmps.files import whole_file
from mmps.registry import MODELS

from .oimnet import oimnet_from_mmps, oimnet_to_mmps
from .rules import Converted, check_names
from .seqnet import seqnet_from_mmps, seqnet_to_mmps

CONFIGS = Path(__file__).resolve().parents[1] / '.mim' / 'configs'


class _Method(NamedTuple):
    config: str
    forward: Callable[[Mapping[str, Tensor]], Converted]
    back: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


# Datasets differ in the sizes of the memory, not in names.
METHODS = {
    'oim': _Method('oim_r50_prw.py', oimnet_to_mmps, oimnet_from_mmps),
    'oimnetpp': _Method('oimnetpp_r50_prw.py', oimnet_to_mmps, oimnet_from_mmps),
    'oimnetppp': _Method('oimnetppp_r50_prw.py', oimnet_to_mmps, oimnet_from_mmps),
    'seqnet': _Method('seqnet_r50_prw.py', seqnet_to_mmps, seqnet_from_mmps),
}


def convert_checkpoint(
    method: str, source: Path, target: Path, *, back: bool = False
) -> dict[str, int]:
    """Convert a checkpoint of the authors' code to mmps, or back.

    Args:
        method: one of ``METHODS``.
        source: file to read.
        target: file to write; one that is there is replaced.
        back: from mmps to the authors' names.

    Returns:
        Entries that the authors' code never reads and that are left out -> numbers in them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not of this method; the message names what is missing or too much.
    """
    if not source.is_file():
        raise FileNotFoundError(f'{source}: no such checkpoint')
    config, to_mmps, from_mmps = METHODS[method]
    init_default_scope('mmdet')
    with torch.device('meta'):  # its names are wanted alone
        names = list(MODELS.build(Config.fromfile(CONFIGS / config).model).state_dict())
    checkpoint = torch.load(source, map_location='cpu')
    unread: dict[str, int] = {}
    try:
        if back:
            state_dict = checkpoint.get('state_dict', checkpoint)
            check_names(state_dict, names)
            result: dict[str, Any] = {'model': from_mmps(state_dict)}
        else:
            converted = to_mmps(checkpoint.get('model', checkpoint))
            check_names(converted.state_dict, names)
            result = {'state_dict': converted.state_dict, 'meta': {}}
            unread = dict(converted.unread)
    except (KeyError, ValueError) as error:
        raise ValueError(f'{source}: {error.args[0]}') from error
    with whole_file(target) as file:
        torch.save(result, file)
    return unread
