from .convnext_stage import ConvNeXtStage
from .linear_norm import LinearNorm

__all__ = ['ConvNeXtStage', 'LinearNorm']
