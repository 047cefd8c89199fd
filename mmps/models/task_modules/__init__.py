from .anchor_generator import RoundedAnchorGenerator
from .assigner import BestOverlapAssigner

__all__ = ['BestOverlapAssigner', 'RoundedAnchorGenerator']
