from .dense_heads import LogitRPNHead
from .detectors import PersonSearchDetector
from .embeddings import LinearEmbedding, NormAwareEmbedding
from .heads import ReIDHead
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
    ShardedLookupTable,
)
from .roi_heads import ParallelRoIHead, RoIStage, SeqRoIHead
from .task_modules import BestOverlapAssigner, RoundedAnchorGenerator

__all__ = [
    'BestOverlapAssigner',
    'CircularQueue',
    'ConvNeXtStage',
    'DOIMLoss',
    'ImportanceQueue',
    'InstanceMatchingLoss',
    'LOIMLoss',
    'LinearEmbedding',
    'LinearNorm',
    'LogitRPNHead',
    'LookupTable',
    'NormAwareEmbedding',
    'OIMLoss',
    'ParallelRoIHead',
    'PersonSearchDetector',
    'ProtoNorm1d',
    'ProtoNorm2d',
    'ReIDHead',
    'RoIStage',
    'RoundedAnchorGenerator',
    'SeqRoIHead',
    'ShardedLookupTable',
    'convert_batch_norm',
    'prototype_labels',
]
