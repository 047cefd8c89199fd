"""Which similarity means the same person: probabilities and thresholds from labelled pairs."""

from .calibration import FILE_NAME, Calibration, calibrate, calibrate_pairs
from .gallery_labels import labelled_gallery
from .pairs import LabelledPairs, label_pairs
from .reliability import expected_calibration_error, held_out_error

__all__ = [
    'FILE_NAME',
    'Calibration',
    'LabelledPairs',
    'calibrate',
    'calibrate_pairs',
    'expected_calibration_error',
    'held_out_error',
    'label_pairs',
    'labelled_gallery',
]
