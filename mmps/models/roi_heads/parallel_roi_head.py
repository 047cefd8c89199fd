from typing import Any

import torch
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData
from torch import Tensor

from mmps.models.collectives import holds_everywhere
from mmps.models.layers import prototype_labels
from mmps.registry import MODELS

from .person_search_roi_head import PersonSearchRoIHead
from .proposals import decode_boxes, make_detections, sampled_ious, sampled_pids


@MODELS.register_module()
class ParallelRoIHead(PersonSearchRoIHead):
    """Detect and re-identify at once, from the same features of a proposal.

    The head of the single-stage methods: OIM (CVPR 2017), NAE (CVPR 2020), OIMNet++ (ECCV 2022).
    An embedding belongs to the proposal, not to the box that is regressed from it.

    Shapes: P sampled proposals of a mini-batch, C4 and C5 channels, D embedding size.

    Args:
        bbox_roi_extractor: RoI pooling of the C4 map.
        roi_stage: features of the RoIs, ``mmps.RoIStage``.
        bbox_head: classifier and class-agnostic regressor on C5, MMDet's ``BBoxHead``. With
            ``with_cls=False`` the logits of the embedding head take the place of the classifier;
            the softmax of (logit, 0), whose cross-entropy ``loss_cls`` is, is their sigmoid.
        embedding_head: (C4, C5) -> embeddings and logits, ``mmps.LinearEmbedding``, which has no
            logits, or ``mmps.NormAwareEmbedding``, whose logits are the norms.
        loss_reid: loss on embeddings, pids and IoUs, ``mmps.OIMLoss`` or another of its kind.
        train_cfg: ``assigner``, ``sampler``, ``pos_weight``.
        test_cfg: as :func:`select_detections` takes it.
        init_cfg: as in MMEngine.
    """

    loss_names = ('loss_cls', 'loss_reg', 'loss_reid')

    def __init__(
        self,
        *,
        bbox_roi_extractor: dict[str, Any],
        roi_stage: dict[str, Any],
        bbox_head: dict[str, Any],
        embedding_head: dict[str, Any],
        loss_reid: dict[str, Any],
        train_cfg: Any = None,
        test_cfg: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            bbox_roi_extractor=bbox_roi_extractor,
            bbox_head=bbox_head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        self.roi_stage = MODELS.build(roi_stage)
        self.embedding_head = MODELS.build(embedding_head)
        self.loss_reid = MODELS.build(loss_reid)

    def reidentify(
        self, x: tuple[Tensor, ...], boxes: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Everything about given boxes.

        Returns:
            Embeddings (P, D) of norm 1, classification scores (P, 2), person first, and box deltas
            (P, 4).

        Raises:
            ValueError: if neither the box head nor the embedding head classifies.
        """
        c4, c5 = self.roi_stage(self.pool(x, boxes))
        scores, deltas = self.bbox_head(c5)
        embeddings, logits = self.embedding_head((c4, c5))
        if scores is None:
            if logits is None:
                raise ValueError(
                    'bbox_head has with_cls=False, and the embedding head '
                    f'{type(self.embedding_head).__name__} gives no logits: set with_cls=True, or '
                    'choose mmps.NormAwareEmbedding.'
                )
            scores = torch.stack([logits, torch.zeros_like(logits)], dim=1)
        return embeddings, scores, deltas

    def loss(
        self,
        x: tuple[Tensor, ...],
        rpn_results_list: list[InstanceData],
        batch_data_samples: SampleList,
    ) -> dict[str, Tensor]:
        """The three losses; every one is 0 where fewer than two RoIs are sampled.

        (BatchNorm has no statistics of a single row.) Where several processes train together, one
        such process means zeros in all of them: they have to take the same way.
        """
        gts, ignored, _ = unpack_gt_instances(batch_data_samples)
        samples = self.sample([results.bboxes for results in rpn_results_list], gts, ignored)
        boxes = [s.priors for s in samples]
        if not holds_everywhere(sum(map(len, boxes)) >= 2):
            return self.no_losses(x)
        pids = sampled_pids(samples, gts)
        with prototype_labels(self, pids):
            embeddings, scores, deltas = self.reidentify(x, boxes)
        targets = self.bbox_head.get_targets(samples, self.train_cfg)
        losses = self.bbox_head.loss(scores, deltas, bbox2roi(boxes), *targets)
        return dict(
            loss_cls=losses['loss_cls'],
            loss_reg=losses['loss_bbox'],
            acc=losses['acc'],
            loss_reid=self.loss_reid(embeddings, pids, sampled_ious(samples)),
        )

    def predict_bbox(
        self,
        x: tuple[Tensor, ...],
        batch_img_metas: list[dict],
        rpn_results_list: list[InstanceData],
        rcnn_test_cfg: Any,
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Detections of each image: bboxes (M, 4), scores (M,), labels (M,), embeddings (M, D).

        Boxes are in pixels of the original image with ``rescale``, else of the network's input.
        """
        proposals = [results.bboxes for results in rpn_results_list]
        if sum(map(len, proposals)) == 0:
            return self.no_detections(proposals)
        sizes = [len(p) for p in proposals]
        embeddings, logits, deltas = self.reidentify(x, proposals)
        boxes = decode_boxes(
            self.bbox_head.bbox_coder,
            boxes=proposals,
            deltas=deltas,
            image_shapes=[meta['img_shape'] for meta in batch_img_metas],
        )
        scores = logits.float().softmax(dim=1)[:, 0].split(sizes)
        return [
            make_detections(b, s, e, cfg=rcnn_test_cfg, meta=meta, rescale=rescale)
            for b, s, e, meta in zip(
                boxes, scores, embeddings.split(sizes), batch_img_metas, strict=True
            )
        ]

    def forward(
        self,
        x: tuple[Tensor, ...],
        rpn_results_list: list[InstanceData],
        batch_data_samples: SampleList | None = None,
    ) -> tuple[Tensor, ...]:
        """All that :meth:`reidentify` gives of the proposals: what FLOPs are counted on."""
        return self.reidentify(x, [results.bboxes for results in rpn_results_list])
