"""Measuring how long things take, and on what."""

from .arguments import add_model_arguments
from .detectors import (
    build_detector,
    compile_module,
    data_root,
    image_size,
    random_batch,
    random_boxes,
)
from .machine import default_device, describe_machine, device_argument, machine_line
from .plain_memory import PlainMemory, difference, plain_memory, plain_update
from .timeline import BACKWARD, FORWARD, OTHER, Timeline
from .timing import seconds, synchronize, waits_for_device
from .training import build_optimiser, summarise, train_step, watch_training

__all__ = [
    'BACKWARD',
    'FORWARD',
    'OTHER',
    'PlainMemory',
    'Timeline',
    'add_model_arguments',
    'build_detector',
    'build_optimiser',
    'compile_module',
    'data_root',
    'default_device',
    'describe_machine',
    'device_argument',
    'difference',
    'image_size',
    'machine_line',
    'plain_memory',
    'plain_update',
    'random_batch',
    'random_boxes',
    'seconds',
    'summarise',
    'synchronize',
    'train_step',
    'waits_for_device',
    'watch_training',
]
