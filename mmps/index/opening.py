"""The index of a gallery, by what the user calls it."""

import os

from mmps.gallery import Gallery

from .faiss_index import FaissIndex
from .protocol import GalleryIndex


def open_index(gallery: Gallery, *, index: str | None = None) -> GalleryIndex:
    """The index of a gallery, brought up to date.

    Args:
        gallery: what is searched.
        index: ``http://host:port`` of a Milvus server, whose token is taken from the environment
            variable ``MILVUS_TOKEN`` where it asks for one; None for faiss in this process, kept in
            the gallery's folder ``index``.

    Raises:
        ValueError: no such kind of index.
        ConnectionError: no Milvus answers there.
        ImportError: pymilvus is not installed.
    """
    opened: GalleryIndex
    if index is None:
        opened = FaissIndex(
            gallery.root / 'index', model_id=gallery.model_id, embed_dim=gallery.embed_dim
        )
    elif index.startswith(('http://', 'https://')):
        # gRPC's handling of forks hangs this process and ends its forked children, such as the
        # workers of a data loader. They do not use the connection and need none.
        os.environ.setdefault('GRPC_ENABLE_FORK_SUPPORT', '0')
        from .milvus_index import MilvusIndex  # pymilvus is an extra

        opened = MilvusIndex(index, gallery)
    else:
        raise ValueError(f'{index!r} is no index: give http://host:port of a Milvus server')
    opened.sync(gallery)
    return opened
