"""The protocol of one's own data."""

from typing import Literal, get_args

import numpy as np

from mmps.evaluation.functional.protocol import Protocol, identity_protocol
from mmps.evaluation.predictions import Predictions
from mmps.registry import PROTOCOLS

Exclusion = Literal['image', 'camera', 'sequence']


@PROTOCOLS.register_module()
def custom_protocol(predictions: Predictions, *, exclude: Exclusion = 'image') -> Protocol:
    """Every query is searched in all images but those that show it too easily.

    Args:
        predictions: of a whole test set.
        exclude: what does not count for a query: its own 'image', all images of its 'camera', or
            all of its 'sequence' (neighbouring frames of a video, where a person hardly changes).

    Raises:
        ValueError: if ``exclude`` is something else, or if the camera or sequence of an image is
            needed and not known (-1); the message names the image.
    """
    groups = {
        'image': None,
        'camera': predictions.camera_ids,
        'sequence': predictions.sequence_ids,
    }
    if exclude not in groups:
        raise ValueError(f"exclude='{exclude}' is not one of {', '.join(get_args(Exclusion))}")
    group = groups[exclude]
    unknown = np.flatnonzero(np.zeros(0) if group is None else group < 0)
    if len(unknown):
        raise ValueError(
            f'{len(unknown)} of {predictions.num_images} images have no {exclude}_id, first '
            f"'{predictions.image_names[unknown[0]]}': a search that leaves out a query's "
            f'{exclude} needs that of every image'
        )
    return identity_protocol(
        predictions.gt_image,
        predictions.gt_bboxes,
        gt_pids=predictions.gt_pids,
        query_image=predictions.query_image,
        query_pids=predictions.query_pids,
        num_images=predictions.num_images,
        image_group=group,
    )
