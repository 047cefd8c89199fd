"""The command ``mmps``: from footage to ranked people, and what goes with it."""

from .app import main

__all__ = ['main']
