"""The web page: choose or build a gallery, show a person, see who looks alike."""

from .access import check_access

__all__ = ['check_access']
