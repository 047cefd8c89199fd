from .dense_heads import LogitRPNHead
from .detectors import PersonSearchDetector
from .embeddings import NormAwareEmbedding
from .layers import (
    ConvNeXtStage,
    LinearNorm,
    ProtoNorm1d,
    ProtoNorm2d,
    convert_batch_norm,
    prototype_labels,
)
from .losses import (
    CircularQueue,
    DOIMLoss,
    ImportanceQueue,
    InstanceMatchingLoss,
    LOIMLoss,
    LookupTable,
    OIMLoss,
)
from .roi_heads import RoIStage, SeqRoIHead
from .task_modules import BestOverlapAssigner, RoundedAnchorGenerator

__all__ = [
    'BestOverlapAssigner',
    'CircularQueue',
    'ConvNeXtStage',
    'DOIMLoss',
    'ImportanceQueue',
    'InstanceMatchingLoss',
    'LOIMLoss',
    'LinearNorm',
    'LogitRPNHead',
    'LookupTable',
    'NormAwareEmbedding',
    'OIMLoss',
    'PersonSearchDetector',
    'ProtoNorm1d',
    'ProtoNorm2d',
    'RoIStage',
    'RoundedAnchorGenerator',
    'SeqRoIHead',
    'convert_batch_norm',
    'prototype_labels',
]
