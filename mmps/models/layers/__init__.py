from .convnext_stage import ConvNeXtStage
from .linear_norm import LinearNorm
from .proto_norm import (
    ProtoNorm1d,
    ProtoNorm2d,
    convert_batch_norm,
    prototype_labels,
)
from .prototype_statistics import prototype_weights

__all__ = [
    'ConvNeXtStage',
    'LinearNorm',
    'ProtoNorm1d',
    'ProtoNorm2d',
    'convert_batch_norm',
    'prototype_labels',
    'prototype_weights',
]
