"""Synthetic street scenes in PRW's layout, to try everything without any download."""

from .generate import SampleSpec, generate_sample

__all__ = ['SampleSpec', 'generate_sample']
