"""The model that made a gallery, to search in it and to add to it."""

from mmps.gallery import Gallery

from .inferencer import PersonSearchInferencer


def load_gallery_model(
    gallery: Gallery,
    *,
    model: str | None = None,
    weights: str | None = None,
    device: str | None = None,
    precision: str = 'float32',
) -> PersonSearchInferencer:
    """Load the model that made a gallery, from where it was then unless told otherwise.

    Args:
        gallery: the gallery.
        model: config file or name; with neither this nor ``weights`` what the gallery recorded.
        weights: checkpoint file.
        device: as for :class:`PersonSearchInferencer`.
        precision: as for :class:`PersonSearchInferencer`.

    Raises:
        ValueError: the model is another one, or no more where it was; the message says what to do.
    """
    recorded = model is None and weights is None
    if recorded:
        model, weights = gallery.model.get('model'), gallery.model.get('weights')
    try:
        inferencer = PersonSearchInferencer(model, weights, device=device, precision=precision)
    except FileNotFoundError as error:
        if not recorded:
            raise
        raise ValueError(
            f'{error}, with which {gallery.root} was made: say where it is now, by --weights or by '
            '--model and --weights'
        ) from error
    inferencer.check_gallery(gallery)
    return inferencer
