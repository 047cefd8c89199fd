"""Settings that may make a training step faster, as changes to any config.

What each gives is in docs/performance.md; configs/_base_/fast_runtime.py has the recommended ones.
"""

import argparse
import copy
from collections.abc import Iterable
from typing import Any

from mmengine.config import Config

OPTIONS: dict[str, dict[str, Any]] = {
    'channels-last': {'default_hooks.channels_last.type': 'mmps.ChannelsLastHook'},
    'compiled': {'default_hooks.compilation.type': 'mmps.CompileHook'},
    'fused-optimiser': {'optim_wrapper.optimizer.fused': True},
    'torchvision-roi-align': {'model.roi_head.bbox_roi_extractor.roi_layer.use_torchvision': True},
    'bfloat16': {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.dtype': 'bfloat16'},
    'float16': {
        'optim_wrapper.type': 'AmpOptimWrapper',
        'optim_wrapper.dtype': 'float16',
        'optim_wrapper.loss_scale': 'dynamic',
    },
}
"""By name, as ``--cfg-options`` takes them."""


def options_argument(text: str) -> str:
    """Names of :data:`OPTIONS` joined by '+', as ``type`` of an argument.

    Raises:
        ArgumentTypeError: there is no option of a name.
    """
    unknown = [name for name in text.split('+') if name not in OPTIONS]
    if unknown:
        raise argparse.ArgumentTypeError(f'{unknown[0]!r} is none of {", ".join(OPTIONS)}')
    return text


def with_options(config: Config, names: Iterable[str]) -> Config:
    """A copy of a config, changed by some of :data:`OPTIONS`.

    Raises:
        ValueError: there is no option of a name.
    """
    config = copy.deepcopy(config)
    for name in names:
        if name not in OPTIONS:
            raise ValueError(f'there is no option {name!r}; choose of {", ".join(OPTIONS)}')
        config.merge_from_dict(OPTIONS[name])
    return config
