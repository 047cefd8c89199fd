from typing import Any, ClassVar

import torch
from mmdet.models.roi_heads.base_roi_head import BaseRoIHead
from mmdet.models.task_modules import SamplingResult
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData
from torch import Tensor

from mmps.registry import MODELS, TASK_UTILS

from .proposals import sample_proposals


class PersonSearchRoIHead(BaseRoIHead):
    """What RoI heads of person search share: their parts, and their answers where nothing is there.

    A method has ``embedding_head`` and :meth:`reidentify`, and names its losses.
    """

    loss_names: ClassVar[tuple[str, ...]]

    def init_bbox_head(self, bbox_roi_extractor: Any, bbox_head: Any) -> None:
        """Build the RoI extractor and the first box head."""
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor)
        self.bbox_head = MODELS.build(bbox_head)

    def init_mask_head(self, *args: Any) -> None:
        """Refuse a mask head: person search has none."""
        raise ValueError(f'{type(self).__name__} has no mask head; remove mask_head.')

    def init_assigner_sampler(self) -> None:
        """Build assigner and sampler, where there is a training config."""
        if self.train_cfg:
            self.assigner = TASK_UTILS.build(self.train_cfg.assigner)
            self.sampler = TASK_UTILS.build(self.train_cfg.sampler, default_args=dict(context=self))

    def reidentify(
        self, x: tuple[Tensor, ...], boxes: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings (P, D) of norm 1 of all boxes, scores of "is a person" and deltas (P, 4)."""
        raise NotImplementedError

    def embed(self, x: tuple[Tensor, ...], boxes: list[Tensor]) -> list[Tensor]:
        """Embed given boxes, (N, 4) an image in pixels of the network's input: (N, D) an image."""
        if sum(map(len, boxes)) == 0:
            return [b.new_zeros(0, self.embedding_head.dim) for b in boxes]
        embeddings, _, _ = self.reidentify(x, boxes)
        return list(embeddings.split([len(b) for b in boxes]))

    def pool(self, x: tuple[Tensor, ...], boxes: list[Tensor]) -> Tensor:
        """RoI features (P, C4, S, S) of the boxes (N, 4) of each image."""
        # As in MMDet, a pyramid's last levels may be the RPN's alone.
        levels = x[: self.bbox_roi_extractor.num_inputs]
        # In half precision MMCV rounds coordinates of boxes to whole pixels and more; in bfloat16
        # it does not pool at all. Maps that are not contiguous, as those in channels-last format,
        # it takes for contiguous ones, without a word.
        return self.bbox_roi_extractor(
            [level.float().contiguous() for level in levels], bbox2roi(boxes)
        )

    def sample(
        self,
        proposals: list[Tensor],
        gt_instances: list[InstanceData],
        gt_ignored: list[InstanceData | None],
    ) -> list[SamplingResult]:
        """As :func:`sample_proposals`, by the assigner and sampler of the training config."""
        return sample_proposals(
            self.assigner,
            self.sampler,
            proposals=proposals,
            gt_instances=gt_instances,
            gt_ignored=gt_ignored,
        )

    def no_losses(self, x: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Zeros that touch every parameter, so that distributed training does not wait for any."""
        # Of none of their values: a sum times 0 is not 0 where half precision overflows.
        zero = sum(t.flatten()[:0].float().sum() for t in (*self.parameters(), *x))
        return dict.fromkeys(self.loss_names, zero)

    def no_detections(self, boxes: list[Tensor]) -> list[InstanceData]:
        """What :func:`make_detections` gives for the empty boxes (0, 4) of each image."""
        return [
            InstanceData(
                bboxes=b,
                scores=b.new_zeros(0),
                labels=b.new_zeros(0, dtype=torch.int64),
                embeddings=b.new_zeros(0, self.embedding_head.dim),
            )
            for b in boxes
        ]
