from .doim_loss import DOIMLoss, hardest_negatives
from .importance_queue import ImportanceQueue
from .instance_matching import InstanceMatchingLoss
from .loim_loss import LOIMLoss
from .memory import CircularQueue, LookupTable, mean_cosine, sum_of_filled
from .oim_loss import OIMLoss
from .sharded_table import ShardedLookupTable
from .step import Step, plan_rounds

__all__ = [
    'CircularQueue',
    'DOIMLoss',
    'ImportanceQueue',
    'InstanceMatchingLoss',
    'LOIMLoss',
    'LookupTable',
    'OIMLoss',
    'ShardedLookupTable',
    'Step',
    'hardest_negatives',
    'mean_cosine',
    'plan_rounds',
    'sum_of_filled',
]
