from mmdet.models.task_modules.prior_generators import AnchorGenerator
from torch import Tensor

from mmps.registry import TASK_UTILS


@TASK_UTILS.register_module()
class RoundedAnchorGenerator(AnchorGenerator):
    """MMDet's anchors with the base anchors rounded to whole pixels, as torchvision rounds them.

    Published checkpoints of SeqNet and OIMNet++ were trained on such anchors: with MMDet's own the
    boxes differ by up to half a pixel times the regressed scale.
    """

    def gen_single_level_base_anchors(
        self, base_size: int | float, scales: Tensor, ratios: Tensor, center: tuple | None = None
    ) -> Tensor:
        """Base anchors of one level, (A, 4) pixels around the origin."""
        return super().gen_single_level_base_anchors(base_size, scales, ratios, center).round()
