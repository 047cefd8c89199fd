"""Measuring how long things take, and on what."""

from .arguments import add_model_arguments
from .comparison import compare
from .detectors import (
    build_detector,
    data_root,
    image_size,
    prepare_model,
    random_batch,
    random_boxes,
)
from .flops import count_flops, flop_rate
from .machine import default_device, describe_machine, device_argument, machine_line
from .options import OPTIONS, options_argument, with_options
from .plain_memory import PlainMemory, difference, plain_memory, plain_update
from .scale import Row, grown, measure_search, measure_step, peak_bytes
from .searches import Search, make_arrays, make_prw
from .timeline import BACKWARD, FORWARD, OTHER, Timeline
from .timing import seconds, synchronize, waits_for_device
from .traffic import Traffic, count_traffic
from .training import RepeatedStep, build_optimiser, summarise, train_step, watch_training

__all__ = [
    'BACKWARD',
    'FORWARD',
    'OPTIONS',
    'OTHER',
    'PlainMemory',
    'RepeatedStep',
    'Row',
    'Search',
    'Timeline',
    'Traffic',
    'add_model_arguments',
    'build_detector',
    'build_optimiser',
    'compare',
    'count_flops',
    'count_traffic',
    'data_root',
    'default_device',
    'describe_machine',
    'device_argument',
    'difference',
    'flop_rate',
    'grown',
    'image_size',
    'machine_line',
    'make_arrays',
    'make_prw',
    'measure_search',
    'measure_step',
    'options_argument',
    'peak_bytes',
    'plain_memory',
    'plain_update',
    'prepare_model',
    'random_batch',
    'random_boxes',
    'seconds',
    'summarise',
    'synchronize',
    'train_step',
    'waits_for_device',
    'watch_training',
    'with_options',
]
