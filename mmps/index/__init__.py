"""Indexes over a gallery, and the search for one person in it."""

from .faiss_index import FaissIndex
from .filters import Filters
from .opening import open_index
from .protocol import GalleryIndex
from .search import Match, search_gallery

__all__ = ['FaissIndex', 'Filters', 'GalleryIndex', 'Match', 'open_index', 'search_gallery']
