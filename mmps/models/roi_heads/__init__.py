from .roi_stage import RoIStage
from .seq_roi_head import SeqRoIHead

__all__ = ['RoIStage', 'SeqRoIHead']
