from typing import Any

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.structures.bbox import scale_boxes
from mmengine.structures import InstanceData
from torch import Tensor

from mmps.models.nms import batched_nms
from mmps.registry import MODELS


@MODELS.register_module()
class LogitRPNHead(RPNHead):
    """MMDet's RPN with the candidates of the NMS chosen by logit, as torchvision chooses them.

    In float32 the sigmoid of every logit above 17 is 1. Chosen by probability, as MMDet does, which
    of such anchors stay within ``nms_pre``, and in which order they meet the NMS, is chance.
    ``nms`` of the test settings is that of :func:`mmps.models.nms.batched_nms`.
    """

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As MMDet's; float32 also in mixed precision, which has too few digits for coordinates."""
        logits, deltas = super().forward_single(x)
        return logits.float(), deltas.float()

    def _predict_by_feat_single(
        self,
        cls_score_list: list[Tensor],
        bbox_pred_list: list[Tensor],
        score_factor_list: list[Tensor],
        mlvl_priors: list[Tensor],
        img_meta: dict[str, Any],
        cfg: Any,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> InstanceData:
        """Proposals of one image; arguments and result as MMDet's."""
        cfg = cfg or self.test_cfg
        candidates = []
        levels = zip(cls_score_list, bbox_pred_list, mlvl_priors, strict=True)
        for level, (logits, deltas, priors) in enumerate(levels):
            logits = logits.permute(1, 2, 0).flatten()
            deltas = deltas.permute(1, 2, 0).reshape(-1, self.bbox_coder.encode_size)
            logits, top = logits.topk(min(cfg.nms_pre, len(logits)))
            boxes = self.bbox_coder.decode(
                priors[top], deltas[top], max_shape=img_meta['img_shape']
            )
            candidates.append(
                InstanceData(
                    bboxes=boxes,
                    scores=logits.sigmoid(),
                    labels=torch.zeros_like(top),
                    level_ids=torch.full_like(top, level),
                )
            )
        results = InstanceData.cat(candidates)
        if rescale:
            factors = [1 / factor for factor in img_meta['scale_factor']]
            results.bboxes = scale_boxes(results.bboxes, factors)
        sizes = results.bboxes[:, 2:] - results.bboxes[:, :2]
        # Indices, as every field selected by a mask would have a GPU waited for.
        results = results[(sizes >= cfg.min_bbox_size).all(dim=1).nonzero().squeeze(1)]
        if with_nms:
            keep = batched_nms(
                results.bboxes, results.scores, groups=results.level_ids, cfg=cfg.nms
            )
            results = results[keep[: cfg.max_per_img]]
        return results
