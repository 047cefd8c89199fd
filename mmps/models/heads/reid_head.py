from typing import Any, TypeAlias

import torch
from mmdet.structures import ReIDDataSample
from mmengine.model import BaseModule
from mmpretrain.structures import DataSample
from torch import Tensor

from mmps.models.layers import prototype_labels
from mmps.registry import MODELS

Sample: TypeAlias = DataSample | ReIDDataSample


@MODELS.register_module()
class ReIDHead(BaseModule):
    """Re-identification of crops with the parts of person search.

    The head of an mmpretrain ``ImageClassifier``, and so of MMDet's ``BaseReID``, which is one:
    labels are the identities, and every crop shows a person.

    Shapes: N crops, D embedding size.

    Args:
        embedding_head: pooled features of the backbone's levels -> embeddings,
            ``mmps.NormAwareEmbedding`` (whose logits are not used: there is no background) or
            ``mmps.LinearEmbedding``; a ProtoNorm in it is told the identities.
        loss_reid: ``mmps.DOIMLoss`` or ``mmps.OIMLoss``. Crops have no IoU for ``mmps.LOIMLoss``.
        init_cfg: as in MMEngine.
    """

    def __init__(
        self,
        embedding_head: dict[str, Any],
        loss_reid: dict[str, Any],
        *,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embedding_head = MODELS.build(embedding_head)
        self.loss_reid = MODELS.build(loss_reid)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Embed crops: pooled features (N, C) of each level -> (N, D) of norm 1."""
        embeddings, _ = self.embedding_head(feats)
        return embeddings

    def loss(self, feats: tuple[Tensor, ...], data_samples: list[Sample]) -> dict[str, Tensor]:
        """The loss of crops whose data samples have a ``gt_label``, -1 for a person without one.

        Raises:
            ValueError: if a label has no place in the lookup table.
        """
        pids = torch.cat([_label(sample) for sample in data_samples]).to(feats[-1].device)
        with prototype_labels(self.embedding_head, pids):
            embeddings = self(feats)
        return dict(loss_reid=self.loss_reid(embeddings, pids))

    def predict(
        self, feats: tuple[Tensor, ...], data_samples: list[Sample] | None = None
    ) -> list[Sample]:
        """Data samples, the given ones or new ones, with ``pred_feature`` (D,), the embedding."""
        samples = [DataSample() for _ in feats[-1]] if data_samples is None else data_samples
        for sample, embedding in zip(samples, self(feats), strict=True):
            sample.pred_feature = embedding
        return samples


def _label(sample: Sample) -> Tensor:
    """The label (1,) of a crop: MMDet's samples wrap it, mmpretrain's do not."""
    label = sample.gt_label
    return label if isinstance(label, Tensor) else label.label
