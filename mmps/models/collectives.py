"""What the processes of a distributed training tell each other about their rows.

Each function is the identity in a run of one process. Rows of all processes are in rank order.
Every process must call them alike: the same functions in the same order, also without rows.
"""

from collections.abc import Callable, Sequence

import torch
import torch.distributed.nn.functional as differentiable
from mmengine.dist import all_gather, all_reduce, get_world_size
from torch import Tensor


def gather_rows(*columns: Tensor) -> tuple[Tensor, ...]:
    """Rows of every process, without gradients.

    These rows alone travel, padded to the most that a process has: with N processes and B rows
    each, every process receives N B rows.

    Args:
        columns: tensors (B, ...), each a column of the same B rows; B differs by process.

    Returns:
        For each column (sum of B, ...).
    """
    columns = tuple(column.detach() for column in columns)
    if get_world_size() == 1:
        return columns
    sizes = _row_counts(columns[0])
    return tuple(_gather(column, sizes, all_gather) for column in columns)


def gather_rows_with_gradients(rows: Tensor, *columns: Tensor) -> tuple[Tensor, ...]:
    """Rows of every process, through whose first column gradients reach the process it is from.

    Args:
        rows: (B, ...), which need gradients in every process or in none.
        columns: as for :func:`gather_rows`.

    Returns:
        As :func:`gather_rows`. The gradient of a row is the sum of what all processes did with it.
    """
    if get_world_size() == 1:
        return rows, *columns
    sizes = _row_counts(rows)
    return (
        _gather(rows, sizes, differentiable.all_gather),
        *(_gather(column, sizes, all_gather) for column in columns),
    )


def _row_counts(rows: Tensor) -> list[int]:
    return torch.stack(all_gather(torch.tensor(len(rows), device=rows.device))).tolist()


def _gather(
    column: Tensor, sizes: list[int], all_gather: Callable[[Tensor], Sequence[Tensor]]
) -> Tensor:
    padded = column.new_zeros(max(sizes), *column.shape[1:])
    padded[: len(column)] = column
    parts = zip(all_gather(padded), sizes, strict=True)
    return torch.cat([part[:size] for part, size in parts])


def sum_of_losses(term: Tensor) -> Tensor:
    """Sum of every process's term of a loss.

    The gradient of a term is multiplied by the number of processes, by which
    ``DistributedDataParallel`` divides it: together the processes follow the gradient of the sum.

    Args:
        term: scalar.

    Returns:
        The sum, the same in each process.
    """
    world_size = get_world_size()
    if world_size == 1:
        return term
    total = term.detach().clone()
    all_reduce(total)
    scaled = world_size * term
    return scaled + (total - scaled.detach())


def sum_of_statistics(values: Tensor) -> Tensor:
    """Sum of every process's values, through which gradients reach all processes.

    Args:
        values: of the same shape in each process.

    Returns:
        The sum, the same in each process. Its gradient in one process is the sum of what all
        processes did with it, as in ``SyncBatchNorm``.
    """
    return values if get_world_size() == 1 else differentiable.all_reduce(values)


def largest_of_processes(values: Tensor) -> Tensor:
    """Element by element the largest of every process's values, without gradients."""
    largest = values.detach().clone()
    all_reduce(largest, op='max')
    return largest


def holds_everywhere(condition: bool) -> bool:
    """Whether a condition holds in every process: what to branch on where collectives follow."""
    if get_world_size() == 1:
        return condition
    number = torch.tensor(int(condition))
    all_reduce(number, op='min')
    return bool(number)
