from .checkpoints import METHODS, convert_checkpoint
from .oimnet import oimnet_from_mmps, oimnet_to_mmps
from .rules import Converted, Rule, Unread, check_names
from .seqnet import seqnet_from_mmps, seqnet_to_mmps

__all__ = [
    'METHODS',
    'Converted',
    'Rule',
    'Unread',
    'check_names',
    'convert_checkpoint',
    'oimnet_from_mmps',
    'oimnet_to_mmps',
    'seqnet_from_mmps',
    'seqnet_to_mmps',
]
