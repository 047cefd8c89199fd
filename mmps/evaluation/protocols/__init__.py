"""Constructors of protocols: how each data set is searched, as ``PROTOCOLS`` registers them."""

from .custom import custom_protocol
from .prw import prw_protocol

__all__ = ['custom_protocol', 'prw_protocol']
