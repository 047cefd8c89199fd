"""Parts of mmps that take part in MMEngine's training and test loops."""

from .checkpoints import AtomicLocalBackend, checkpoint_to_resume
from .compilation import compile_module
from .hooks import (
    ChannelsLastHook,
    CompileHook,
    MemoryCheckpointHook,
    MemoryHook,
    NonFiniteLossHook,
    SearchVisualizationHook,
    UnreadableImagesHook,
)
from .loops import ResumableEpochLoop, ResumableIterLoop
from .resumable_loader import build_resumable_loader
from .seeding import seed_generators

__all__ = [
    'AtomicLocalBackend',
    'ChannelsLastHook',
    'CompileHook',
    'MemoryCheckpointHook',
    'MemoryHook',
    'NonFiniteLossHook',
    'ResumableEpochLoop',
    'ResumableIterLoop',
    'SearchVisualizationHook',
    'UnreadableImagesHook',
    'build_resumable_loader',
    'checkpoint_to_resume',
    'compile_module',
    'seed_generators',
]
