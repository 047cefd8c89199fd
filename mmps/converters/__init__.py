from .rules import Converted, Rule
from .seqnet import seqnet_from_mmps, seqnet_to_mmps

__all__ = ['Converted', 'Rule', 'seqnet_from_mmps', 'seqnet_to_mmps']
