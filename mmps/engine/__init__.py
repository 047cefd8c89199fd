"""Parts of mmps that take part in MMEngine's training and test loops."""

from .hooks import MemoryHook, SearchVisualizationHook

__all__ = ['MemoryHook', 'SearchVisualizationHook']
