from .linear_embedding import LinearEmbedding
from .norm_aware_embedding import NormAwareEmbedding

__all__ = ['LinearEmbedding', 'NormAwareEmbedding']
