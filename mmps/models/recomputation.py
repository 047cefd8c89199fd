from torch.utils.module_tracker import ModuleTracker

_tracker = ModuleTracker()


def is_recomputed() -> bool:
    """Whether a backward pass runs, so that a forward pass now is that of before once more.

    Activation checkpointing (``with_cp``) does so to have again what it has not kept. Whatever
    follows the data step by step has followed this step already.
    """
    return _tracker.is_bw
