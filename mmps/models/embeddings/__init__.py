from .norm_aware_embedding import NormAwareEmbedding

__all__ = ['NormAwareEmbedding']
