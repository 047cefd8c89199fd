"""What the inferencer finds on an image, as arrays."""

from dataclasses import dataclass

import numpy as np
import torch
from mmengine.structures import InstanceData
from numpy.typing import NDArray


@dataclass(frozen=True)
class Persons:
    """The N persons of one image, by descending score.

    Attributes:
        bboxes: x1, y1, x2, y2 in pixels of the image, (N, 4) float32.
        scores: of the detections, 0 to 1, (N,) float32.
        embeddings: of norm 1, (N, D) float32.
    """

    bboxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def from_instances(cls, instances: InstanceData) -> 'Persons':
        """The persons in ``pred_instances`` of a detector, of which boxes and scores stay."""
        arrays = {
            name: instances[name].detach().to('cpu', torch.float32).numpy()
            for name in ('bboxes', 'scores', 'embeddings')
        }
        order = np.argsort(-arrays['scores'], kind='stable')
        return cls(**{name: array[order] for name, array in arrays.items()})
