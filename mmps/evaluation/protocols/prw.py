"""PRW's protocol (Zheng et al., CVPR 2017), as the published figures use it."""

from mmps.evaluation.functional.protocol import Protocol
from mmps.evaluation.predictions import Predictions
from mmps.registry import PROTOCOLS

from .custom import custom_protocol


@PROTOCOLS.register_module()
def prw_protocol(predictions: Predictions, *, cross_camera: bool = False) -> Protocol:
    """Every query is searched in all frames but its own.

    Args:
        predictions: of PRW's gallery, with its queries.
        cross_camera: only frames of other cameras than the query's count.
    """
    return custom_protocol(predictions, exclude='camera' if cross_camera else 'image')
