from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.structures import SampleList
from mmdet.structures.bbox import get_box_tensor, scale_boxes
from mmengine.structures import InstanceData
from torch import Tensor

from mmps.registry import MODELS


@MODELS.register_module()
class PersonSearchDetector(TwoStageDetector):
    """Person search on MMDet's two-stage machinery: the method is in the config of the RoI head.

    Args:
        backbone, neck, rpn_head, roi_head, train_cfg, test_cfg, data_preprocessor, init_cfg: as
            MMDet's ``TwoStageDetector`` has them. The RoI head also has
            ``embed(features, boxes)``.
            With ``test_cfg.embed_ground_truth`` the annotated boxes are embedded, too, so that
            re-identification can be evaluated alone; their annotations have to be loaded after
            ``Resize``, in pixels of the original image.
        frozen_parameters: parameters whose names start with one of these are not trained. Unlike
            MMDet's ``frozen_stages``, norm layers keep following the statistics of the data: that
            is how the authors of SeqNet and OIMNet++ freeze the stem.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        rpn_head: dict[str, Any],
        *,
        roi_head: dict[str, Any],
        train_cfg: Any,
        test_cfg: Any,
        neck: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        frozen_parameters: Sequence[str] = (),
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            backbone=backbone,
            neck=neck,
            rpn_head=rpn_head,
            roi_head=roi_head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        for prefix in frozen_parameters:
            frozen = [p for name, p in self.named_parameters() if name.startswith(prefix)]
            if not frozen:
                raise ValueError(
                    f'frozen_parameters: no parameter of the model starts with {prefix!r}.'
                )
            for parameter in frozen:
                parameter.requires_grad_(False)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True
    ) -> SampleList:
        """Detect and embed everybody, and embed the queries of these images in the same pass.

        Args:
            batch_inputs: images (N, 3, H, W), normalised and padded.
            batch_data_samples: their data samples. ``query_instances``, where present and not
                empty, holds query boxes (Q, 4) in pixels of the original image; so does
                ``gt_instances`` those of all persons (G, 4), for ``embed_ground_truth``.
            rescale: boxes in pixels of the original image instead of the network's input.

        Returns:
            The same data samples with ``pred_instances``: bboxes (M, 4), scores (M,), labels (M,)
            and embeddings (M, D) of norm 1; with ``query_instances.embeddings`` (Q, D) and, for
            ``embed_ground_truth``, ``gt_instances.embeddings`` (G, D).
        """
        x = self.extract_feat(batch_inputs)
        proposals = self.rpn_head.predict(x, batch_data_samples, rescale=False)
        results = self.roi_head.predict(x, proposals, batch_data_samples, rescale=rescale)
        samples = self.add_pred_to_datasample(batch_data_samples, results)

        self._embed_instances(x, samples, 'query_instances')
        if self.test_cfg.get('embed_ground_truth', False):
            self._embed_instances(x, samples, 'gt_instances')
        return samples

    @torch.no_grad()
    def predict_with_given_boxes(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, boxes: Sequence[Tensor]
    ) -> list[InstanceData]:
        """Embed given boxes, such as a query's, without detecting anybody.

        Args:
            batch_inputs: images (N, 3, H, W), normalised and padded.
            batch_data_samples: their data samples.
            boxes: (Q, 4) an image, x1, y1, x2, y2 in pixels of the original image.

        Returns:
            One an image with the bboxes (Q, 4) as given and embeddings (Q, D) of norm 1.

        Raises:
            ValueError: if there is not one tensor of boxes an image.
        """
        if len(boxes) != len(batch_data_samples):
            raise ValueError(
                f'boxes: got {len(boxes)} tensors for {len(batch_data_samples)} images; '
                'give one (Q, 4) tensor an image, empty where there is no box.'
            )
        embeddings = self._embed(self.extract_feat(batch_inputs), boxes, batch_data_samples)
        return [
            InstanceData(bboxes=b, embeddings=e) for b, e in zip(boxes, embeddings, strict=True)
        ]

    def _embed_instances(self, x: tuple[Tensor, ...], samples: SampleList, field: str) -> None:
        """Give the instances in a field of the samples, where there is one, their embeddings."""
        instances = [sample.get(field) for sample in samples]
        nobody = x[0].new_zeros(0, 4, dtype=torch.float32)
        boxes = [nobody if i is None else get_box_tensor(i.bboxes) for i in instances]
        for of_image, embeddings in zip(instances, self._embed(x, boxes, samples), strict=True):
            if of_image is not None:
                of_image.embeddings = embeddings

    def _embed(
        self, x: tuple[Tensor, ...], boxes: Sequence[Tensor], samples: SampleList
    ) -> list[Tensor]:
        """Embeddings of boxes that are given in pixels of the original images."""
        scaled = [
            scale_boxes(b, sample.metainfo.get('scale_factor', (1.0, 1.0)))
            for b, sample in zip(boxes, samples, strict=True)
        ]
        return self.roi_head.embed(x, scaled)
