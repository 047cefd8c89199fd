from typing import Any

from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData
from torch import Tensor

from mmps.models.collectives import holds_everywhere
from mmps.models.layers import prototype_labels
from mmps.registry import MODELS

from .person_search_roi_head import PersonSearchRoIHead
from .proposals import (
    decode_boxes,
    make_detections,
    sampled_ious,
    sampled_pids,
    select_detections,
)


@MODELS.register_module()
class SeqRoIHead(PersonSearchRoIHead):
    """Detect first, re-identify on the refined boxes: SeqNet's head (AAAI 2021), also SeqXt's.

    Stage 1 classifies and regresses the proposals. Its boxes, detached, are matched and sampled
    again; stage 2 regresses them once more and embeds them. The norm of the embedding is the
    detection logit of stage 2.

    Shapes: P sampled proposals or detections of a mini-batch, C4 and C5 channels, D embedding size.

    Args:
        bbox_roi_extractor: RoI pooling of the C4 map.
        box_stage: stage 1 features, ``mmps.RoIStage``.
        bbox_head: stage 1 classifier and class-agnostic regressor on C5, MMDet's ``BBoxHead``.
        reid_stage: stage 2 features, ``mmps.RoIStage``.
        reid_bbox_head: stage 2 regressor on C5, ``BBoxHead`` with ``with_cls=False``.
        embedding_head: (C4, C5) -> embeddings and logits, ``mmps.NormAwareEmbedding``.
        loss_cls: binary loss of the stage 2 logits.
        loss_reid: loss on embeddings, pids and IoUs, ``mmps.OIMLoss`` or another of its kind.
        train_cfg: ``assigner``, ``sampler``, ``pos_weight``, the same for both stages.
        test_cfg: ``stage1`` and ``stage2``, each as :func:`select_detections` takes it, and
            ``fcs``: whether a detection keeps the score of stage 1 ("first classification score",
            SeqNet's default) or has that of stage 2.
        init_cfg: as in MMEngine.
    """

    loss_names = ('loss_cls1', 'loss_reg1', 'loss_cls2', 'loss_reg2', 'loss_reid')

    def __init__(
        self,
        *,
        bbox_roi_extractor: dict[str, Any],
        box_stage: dict[str, Any],
        bbox_head: dict[str, Any],
        reid_stage: dict[str, Any],
        reid_bbox_head: dict[str, Any],
        embedding_head: dict[str, Any],
        loss_cls: dict[str, Any],
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
        self.box_stage = MODELS.build(box_stage)
        self.reid_stage = MODELS.build(reid_stage)
        self.reid_bbox_head = MODELS.build(reid_bbox_head)
        self.embedding_head = MODELS.build(embedding_head)
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_reid = MODELS.build(loss_reid)

    # ------------------------------------------------------------------ the two stages

    def detect(self, x: tuple[Tensor, ...], boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Stage 1: classification scores (P, 2), person first, and box deltas (P, 4)."""
        _, c5 = self.box_stage(self.pool(x, boxes))
        return self.bbox_head(c5)

    def reidentify(
        self, x: tuple[Tensor, ...], boxes: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Stage 2: embeddings (P, D) of norm 1, person logits (P,) and box deltas (P, 4)."""
        c4, c5 = self.reid_stage(self.pool(x, boxes))
        embeddings, logits = self.embedding_head((c4, c5))
        return embeddings, logits, self.reid_bbox_head(c5)[1]

    # ------------------------------------------------------------------ training

    def loss(
        self,
        x: tuple[Tensor, ...],
        rpn_results_list: list[InstanceData],
        batch_data_samples: SampleList,
    ) -> dict[str, Tensor]:
        """The five losses of both stages; every one is 0 where fewer than two RoIs are sampled.

        (BatchNorm has no statistics of a single row.) Where several processes train together, one
        such process means zeros in all of them: they have to take the same way.
        """
        gts, ignored, metas = unpack_gt_instances(batch_data_samples)
        image_shapes = [meta['img_shape'] for meta in metas]

        samples = self.sample([results.bboxes for results in rpn_results_list], gts, ignored)
        boxes = [s.priors for s in samples]
        if not holds_everywhere(sum(map(len, boxes)) >= 2):
            return self.no_losses(x)
        scores, deltas = self.detect(x, boxes)
        losses1 = self.bbox_head.loss(
            scores,
            deltas,
            bbox2roi(boxes),
            *self.bbox_head.get_targets(samples, self.train_cfg),
        )

        coder = self.bbox_head.bbox_coder
        refined = decode_boxes(
            coder, boxes=boxes, deltas=deltas.detach(), image_shapes=image_shapes
        )
        samples = self.sample(refined, gts, ignored)
        boxes = [s.priors for s in samples]
        pids = sampled_pids(samples, gts)
        with prototype_labels(self, pids):
            embeddings, logits, deltas = self.reidentify(x, boxes)
        targets = self.reid_bbox_head.get_targets(samples, self.train_cfg)
        labels, weights = targets[:2]
        losses2 = self.reid_bbox_head.loss(None, deltas, bbox2roi(boxes), *targets)
        return dict(
            loss_cls1=losses1['loss_cls'],
            loss_reg1=losses1['loss_bbox'],
            acc1=losses1['acc'],
            loss_cls2=self.loss_cls(
                logits[:, None], labels, weights, avg_factor=max(len(labels), 1)
            ),
            loss_reg2=losses2['loss_bbox'],
            loss_reid=self.loss_reid(embeddings, pids, sampled_ious(samples)),
        )

    # ------------------------------------------------------------------ test

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
        Embeddings have norm 1; weighting them by the score (CWS) is the evaluation's choice.
        """
        image_shapes = [meta['img_shape'] for meta in batch_img_metas]
        proposals = [results.bboxes for results in rpn_results_list]
        logits, deltas = self.detect(x, proposals)
        scores1 = logits.float().softmax(dim=1)[:, 0].split([len(p) for p in proposals])
        boxes1 = decode_boxes(
            self.bbox_head.bbox_coder, boxes=proposals, deltas=deltas, image_shapes=image_shapes
        )
        keep = [
            select_detections(b, s, rcnn_test_cfg.stage1)
            for b, s in zip(boxes1, scores1, strict=True)
        ]
        boxes = [b[k] for b, k in zip(boxes1, keep, strict=True)]
        scores = [s[k] for s, k in zip(scores1, keep, strict=True)]
        if sum(map(len, boxes)) == 0:
            return self.no_detections(boxes)

        sizes = [len(b) for b in boxes]
        embeddings, logits, deltas = self.reidentify(x, boxes)
        boxes = decode_boxes(
            self.reid_bbox_head.bbox_coder, boxes=boxes, deltas=deltas, image_shapes=image_shapes
        )
        if not rcnn_test_cfg.fcs:
            scores = list(logits.sigmoid().split(sizes))
        return [
            make_detections(b, s, e, cfg=rcnn_test_cfg.stage2, meta=meta, rescale=rescale)
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
        """Both stages on the same proposals, without selection: what FLOPs are counted on."""
        proposals = [results.bboxes for results in rpn_results_list]
        return (*self.detect(x, proposals), *self.reidentify(x, proposals))
