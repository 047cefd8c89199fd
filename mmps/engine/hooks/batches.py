"""What hooks read off a batch as the data loader gives it."""

from collections.abc import Mapping
from typing import Any


def image_names(batch: Any) -> list[str]:
    """Names of a batch's images, or their paths, as far as their data samples tell."""
    metas = metainfos(batch)
    names = (meta.get('img_name', meta.get('img_path')) for meta in metas)
    return [str(name) for name in names if name is not None]


def metainfos(batch: Any) -> list[Mapping[str, Any]]:
    """Metainfo of each of a batch's data samples; none where the batch has no such."""
    samples = batch.get('data_samples', ()) if isinstance(batch, Mapping) else ()
    return [sample.metainfo for sample in samples if hasattr(sample, 'metainfo')]
