"""Hooks."""

from .channels_last_hook import ChannelsLastHook
from .compile_hook import CompileHook
from .memory_checkpoint_hook import MemoryCheckpointHook
from .memory_hook import MemoryHook
from .non_finite_loss_hook import NonFiniteLossHook
from .search_visualization_hook import SearchVisualizationHook
from .unreadable_images_hook import UnreadableImagesHook

__all__ = [
    'ChannelsLastHook',
    'CompileHook',
    'MemoryCheckpointHook',
    'MemoryHook',
    'NonFiniteLossHook',
    'SearchVisualizationHook',
    'UnreadableImagesHook',
]
