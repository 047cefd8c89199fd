import random

import numpy as np
import torch


def seed_generators(*key: int) -> None:
    """Seed the generators of Python, NumPy and PyTorch: what they draw next hangs on a key alone.

    Args:
        key: whole numbers >= 0. Equal keys give equal draws, different ones draws that have
            nothing to do with each other.
    """
    words = np.random.SeedSequence(key).generate_state(8)
    random.seed(words.tobytes())
    np.random.seed(words)  # noqa: NPY002  transforms draw from NumPy's global generator
    seed = int.from_bytes(words[:2].tobytes(), 'little')
    # Not torch.manual_seed: workers call this for every item, and it is slow where CUDA is not
    # used, in particular in their processes, which may not touch it.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
