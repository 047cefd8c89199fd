"""Constructors of protocols: how each data set is searched, as ``PROTOCOLS`` registers them."""

from .cuhk_sysu import cuhk_sysu_protocol
from .custom import custom_protocol
from .prw import prw_protocol

__all__ = ['cuhk_sysu_protocol', 'custom_protocol', 'prw_protocol']
