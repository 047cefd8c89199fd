"""Parts of mmps that take part in MMEngine's training and test loops."""

from .hooks import ChannelsLastHook, MemoryHook, SearchVisualizationHook

__all__ = ['ChannelsLastHook', 'MemoryHook', 'SearchVisualizationHook']
