from torch import Tensor, nn


def running_statistics(model: nn.Module) -> list[Tensor]:
    """What norm layers track while they train: means, variances and numbers of batches."""
    names = ('running_mean', 'running_var', 'num_batches_tracked')
    return [buffer for name, buffer in model.named_buffers() if name.rpartition('.')[2] in names]
