from .rules import Converted, Rule, check_names
from .seqnet import seqnet_from_mmps, seqnet_to_mmps

__all__ = ['Converted', 'Rule', 'check_names', 'seqnet_from_mmps', 'seqnet_to_mmps']
