from .memory import CircularQueue, LookupTable
from .oim_loss import OIMLoss

__all__ = ['CircularQueue', 'LookupTable', 'OIMLoss']
