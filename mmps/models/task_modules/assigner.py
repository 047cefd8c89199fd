import torch
from mmdet.models.task_modules.assigners import AssignResult, MaxIoUAssigner
from torch import Tensor

from mmps.registry import TASK_UTILS


@TASK_UTILS.register_module()
class BestOverlapAssigner(MaxIoUAssigner):
    """MMDet's MaxIoUAssigner with torchvision's low-quality matches.

    Both make the best anchor of every ground-truth box positive, however low their IoU. MMDet
    gives such an anchor to that box, also when it overlaps another box more; torchvision gives it
    to the box it overlaps most. Needed to reproduce training losses of torchvision-based code.
    """

    def assign_wrt_overlaps(self, overlaps: Tensor, gt_labels: Tensor) -> AssignResult:
        """Assign from overlaps (K boxes, N priors); labels (K,)."""
        result = super().assign_wrt_overlaps(overlaps, gt_labels)
        if len(overlaps) > 0:
            # By masks, not by what they hold: a GPU is not waited for.
            positive, best = result.gt_inds > 0, overlaps.argmax(dim=0)
            result.gt_inds = torch.where(positive, best + 1, result.gt_inds)
            result.labels = torch.where(positive, gt_labels[best], result.labels)
        return result
