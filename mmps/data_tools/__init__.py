"""What is done to a dataset before training: converting, splitting by identity, checking."""

from .coco_writer import to_coco, write_coco
from .conversion import convert_to_coco
from .from_dataset import annotations_of
from .identity_split import IdentitySplit, split_by_identity
from .images import check_images, with_sizes
from .mot import read_mot
from .problems import Problem, identity_problems, scene_problems, split_problems
from .prw_writer import write_prw
from .statistics import Statistics, boxes_per_identity, dataset_statistics, statistics_table
from .tracks import read_tracks

__all__ = [
    'IdentitySplit',
    'Problem',
    'Statistics',
    'annotations_of',
    'boxes_per_identity',
    'check_images',
    'convert_to_coco',
    'dataset_statistics',
    'identity_problems',
    'read_mot',
    'read_tracks',
    'scene_problems',
    'split_by_identity',
    'split_problems',
    'statistics_table',
    'to_coco',
    'with_sizes',
    'write_coco',
    'write_prw',
]
