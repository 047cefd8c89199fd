"""Hooks."""

from .channels_last_hook import ChannelsLastHook
from .memory_hook import MemoryHook
from .search_visualization_hook import SearchVisualizationHook

__all__ = ['ChannelsLastHook', 'MemoryHook', 'SearchVisualizationHook']
