from .parallel_roi_head import ParallelRoIHead
from .person_search_roi_head import PersonSearchRoIHead
from .roi_stage import RoIStage
from .seq_roi_head import SeqRoIHead

__all__ = ['ParallelRoIHead', 'PersonSearchRoIHead', 'RoIStage', 'SeqRoIHead']
