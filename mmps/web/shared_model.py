"""One model for everybody: queries and indexing take turns, image by image."""

import threading
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from mmps.apis.persons import Persons


class Inferencer(Protocol):
    """What is used of :class:`~mmps.apis.PersonSearchInferencer`."""

    model_id: str
    embed_dim: int
    origin: dict[str, str | None]

    def detect(self, images: Sequence[Any], *, batch_size: int = 1) -> list[Persons]:
        """Persons of each image."""

    def embed(self, image: Any, bboxes: Any) -> np.ndarray:
        """Embeddings of boxes, (N, D)."""


class SharedModel:
    """An :class:`Inferencer` that several threads may use.

    Args:
        inferencer: that does the work.
    """

    def __init__(self, inferencer: Inferencer) -> None:
        self._inferencer = inferencer
        self._lock = threading.Lock()
        self.model_id = inferencer.model_id
        self.embed_dim = inferencer.embed_dim
        self.origin = inferencer.origin

    def detect(self, images: Sequence[Any], *, batch_size: int = 1) -> list[Persons]:
        """See :meth:`mmps.apis.PersonSearchInferencer.detect`."""
        with self._lock:
            return self._inferencer.detect(images, batch_size=batch_size)

    def embed(self, image: Any, bboxes: Any) -> np.ndarray:
        """See :meth:`mmps.apis.PersonSearchInferencer.embed`."""
        with self._lock:
            return self._inferencer.embed(image, bboxes)
