from typing import Any

from mmcv.cnn import build_norm_layer
from torch import nn

from mmps.registry import MODELS


@MODELS.register_module()
class LinearNorm(nn.Sequential):
    """Linear followed by a norm layer: the box regressor of SeqNet's second stage ("BN neck").

    Usable wherever MMDet builds a predictor, e.g. ``reg_predictor_cfg`` of ``BBoxHead``.

    Args:
        in_features: C.
        out_features: channels after the Linear, and of the norm.
        norm_cfg: the norm layer.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        norm_cfg: dict[str, Any] = dict(type='BN1d'),
    ) -> None:
        super().__init__(
            nn.Linear(in_features, out_features), build_norm_layer(norm_cfg, out_features)[1]
        )
