from .doim_loss import DOIMLoss, hardest_negatives
from .importance_queue import ImportanceQueue
from .instance_matching import InstanceMatchingLoss
from .loim_loss import LOIMLoss
from .memory import CircularQueue, LookupTable, mean_cosine
from .oim_loss import OIMLoss

__all__ = [
    'CircularQueue',
    'DOIMLoss',
    'ImportanceQueue',
    'InstanceMatchingLoss',
    'LOIMLoss',
    'LookupTable',
    'OIMLoss',
    'hardest_negatives',
    'mean_cosine',
]
