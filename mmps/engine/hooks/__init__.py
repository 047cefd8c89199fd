"""Hooks."""

from .memory_hook import MemoryHook
from .search_visualization_hook import SearchVisualizationHook

__all__ = ['MemoryHook', 'SearchVisualizationHook']
