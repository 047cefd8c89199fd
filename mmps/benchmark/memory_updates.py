"""Updates of the memory losses against plain counterparts, and ProtoNorm against BatchNorm, timed.

Shapes: L labelled persons, Q places in the queue, D embedding size, B rows of a step.
"""

from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmps.models import (
    DOIMLoss,
    InstanceMatchingLoss,
    LOIMLoss,
    OIMLoss,
    ProtoNorm1d,
    prototype_labels,
)
from mmps.models.losses import ImportanceQueue

from .plain_memory import difference, plain_memory, plain_update
from .timing import seconds, waits_for_device
from .traffic import LossOf

TOLERANCE = 1e-5
"""Memories that differ by more are not the same."""
LOSSES: dict[str, LossOf] = dict(OIM=OIMLoss, LOIM=LOIMLoss, DOIM=DOIMLoss)
SHORT = 10
"""What takes little time is timed that many times as often as the plain updates."""


@dataclass(frozen=True)
class Sizes:
    """Of a memory and of a step.

    Attributes:
        persons: L, rows of the lookup table.
        queue: Q, places of the queue.
        dim: D, size of an embedding.
        rows: of a step.
        labelled: share of the rows that are of labelled persons.
    """

    persons: int = 5532
    queue: int = 5000
    dim: int = 256
    rows: int = 640
    labelled: float = 0.5


@dataclass(frozen=True)
class Comparison:
    """A loss at a step, ours against the plain implementation.

    Attributes:
        loss: its name.
        rows_per_person: of each labelled person in the step.
        difference: the largest between the memories that both leave.
        plain_ms: median of all repeats.
        ours_ms: median.
        ratio: of the medians.
        shortest_ratio: of the shortest times.
        waits: on a GPU, the line at which the host first waited for it; empty where it did not.
            None elsewhere.
    """

    loss: str
    rows_per_person: int
    difference: float
    plain_ms: float
    ours_ms: float
    ratio: float
    shortest_ratio: float
    waits: str | None


def make_loss(name: str, sizes: Sizes, device: torch.device) -> InstanceMatchingLoss:
    """A loss in the middle of a training: a tenth of the table is not filled, the queue is.

    Args:
        name: in :data:`LOSSES`.
        sizes: of its memory.
        device: where it goes.
    """
    generator = torch.Generator().manual_seed(0)
    loss = LOSSES[name](sizes.persons, sizes.queue, dim=sizes.dim)
    vectors = _unit_rows(sizes.persons, sizes.dim, generator)
    vectors[torch.randperm(sizes.persons, generator=generator)[: sizes.persons // 10]] = 0
    loss.table.vectors.copy_(vectors)
    loss.queue.vectors.copy_(_unit_rows(sizes.queue, sizes.dim, generator))
    if isinstance(loss.queue, ImportanceQueue):
        drawn = torch.rand(sizes.queue, generator=generator) + 0.5
        loss.queue.importance.copy_(drawn.sort(descending=True).values)
    return loss.to(device).train()


def make_step(
    loss: InstanceMatchingLoss, sizes: Sizes, rows_per_person: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The rows of a step.

    Args:
        loss: whose prototypes the embeddings of labelled persons are around.
        sizes: of its memory and of the step.
        rows_per_person: of each labelled person.

    Returns:
        Embeddings (B, D), pids (B,), and IoUs (B,), on the device of the loss.
    """
    generator = torch.Generator().manual_seed(1)
    num_labelled = round(sizes.labelled * sizes.rows)
    persons = torch.randperm(sizes.persons, generator=generator)
    pids = torch.full((sizes.rows,), -1)
    pids[:num_labelled] = persons.repeat_interleave(rows_per_person)[:num_labelled]
    pids = pids[torch.randperm(sizes.rows, generator=generator)]
    noise = _unit_rows(sizes.rows, sizes.dim, generator)
    centres = loss.table.vectors.cpu()[pids.clamp(min=0)]
    x = F.normalize(torch.where(pids[:, None] < 0, noise, centres + noise))
    ious = 0.5 + 0.5 * torch.rand(sizes.rows, generator=generator)
    device = loss.table.vectors.device
    return x.to(device), pids.to(device), ious.to(device)


def _unit_rows(rows: int, dim: int, generator: torch.Generator) -> Tensor:
    return F.normalize(torch.randn(rows, dim, generator=generator))


def compare_updates(
    name: str, sizes: Sizes, rows_per_person: int, device: torch.device, *, repeats: int
) -> Comparison:
    """Compare one update with the plain one, then time how long both take, again and again.

    Args:
        name: of the loss, in :data:`LOSSES`.
        sizes: of its memory and of the step.
        rows_per_person: of each labelled person in the step.
        device: where it is done.
        repeats: plain updates that are timed.

    Raises:
        ValueError: the memories differ by more than :data:`TOLERANCE`.
    """
    loss = make_loss(name, sizes, device)
    # In float64, so that a difference is not the plain implementation's own rounding.
    exact = plain_memory(loss, torch.float64)
    x, pids, ious = make_step(loss, sizes, rows_per_person)
    memory = plain_memory(loss, torch.float32)
    # As forward puts them.
    order = (pids < 0).int().argsort(stable=True)
    x, pids, ious = x[order], pids[order], ious[order]
    products = loss.table.negative_log_likelihood(
        x, pids[pids >= 0], loss.queue.vectors, loss.temperature
    )

    def update() -> None:
        loss.stage(x, pids, ious, *products)
        loss.commit()

    update()
    plain_update(loss, exact, x.double(), pids, ious.double())
    found = difference(loss, exact)
    if found > TOLERANCE:
        raise ValueError(
            f'{name} with {rows_per_person} rows a person: the memory differs by {found:.1e} from '
            f'that of the plain implementation, more than {TOLERANCE:.0e}; there is no use in '
            'timing it'
        )

    plain, ours = [], []
    for _ in range(repeats):
        plain.append(seconds(partial(plain_update, loss, memory, x, pids, ious), device))
        ours += [seconds(update, device) for _ in range(SHORT)]
    waits = None
    if device.type == 'cuda':
        loss.stage(x, pids, ious, *products)
        waits = waits_for_device(loss.commit)
    return Comparison(
        loss=name,
        rows_per_person=rows_per_person,
        difference=found,
        plain_ms=1e3 * median(plain),
        ours_ms=1e3 * median(ours),
        ratio=median(plain) / median(ours),
        shortest_ratio=min(plain) / min(ours),
        waits=waits,
    )


def compare_norms(
    sizes: Sizes, device: torch.device, *, affine: bool, repeats: int
) -> dict[str, float]:
    """Time forward and backward of BatchNorm1d and of ProtoNorm1d on (B, D).

    Args:
        sizes: of the step.
        device: where it is done.
        affine: whether the layers have weights and biases.
        repeats: ``10 * SHORT`` times as many passes are timed.

    Returns:
        The shortest of all repeats in ms: ``batch_norm``; ``proto_norm``, the layer alone;
        ``labels``, what entering ``prototype_labels`` costs once for all layers below a module.
        And ``ratio``, of the layers.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(sizes.rows, sizes.dim, generator=generator).to(device).requires_grad_()
    g = torch.randn(sizes.rows, sizes.dim, generator=generator).to(device)
    pids = torch.randint(-2, 25, (sizes.rows,), generator=generator).to(device)
    batch_norm = nn.BatchNorm1d(sizes.dim, affine=affine).to(device)
    proto_norm = ProtoNorm1d(sizes.dim, affine=affine).to(device)

    def run(norm: nn.Module) -> None:
        norm(x).backward(g)

    def label() -> None:
        with prototype_labels(proto_norm, pids):
            pass

    times: dict[str, list[float]] = dict(batch_norm=[], proto_norm=[], labels=[])
    for _ in range(10 * SHORT * repeats):
        times['batch_norm'].append(seconds(partial(run, batch_norm), device))
        with prototype_labels(proto_norm, pids):
            times['proto_norm'].append(seconds(partial(run, proto_norm), device))
        times['labels'].append(seconds(label, device))
    figures = {name: 1e3 * min(values) for name, values in times.items()}
    return dict(figures, ratio=figures['proto_norm'] / figures['batch_norm'])
