"""OIM, LOIM and ProtoNorm, step by step, against the authors' implementations."""

from typing import Any

import numpy as np
import pytest
import torch
from references import load_reference
from torch import Tensor

from mmps.models import LOIMLoss, OIMLoss, ProtoNorm1d, ProtoNorm2d, prototype_labels

TOLERANCE = dict(rtol=0, atol=1e-5)


@pytest.fixture(scope='module')
def reference() -> Any:
    return load_reference('components')


def pids_of(labels: np.ndarray) -> Tensor:
    """0 background, 1..L labelled, 5555 without identity -> -2, 0..L-1, -1."""
    return torch.from_numpy(np.select([labels == 0, labels == 5555], [-2, -1], labels - 1))


@pytest.mark.parametrize('name', ['oim', 'loim'])
def test_memory_losses(name: str, reference: Any, fixtures: Any) -> None:
    info, arrays = reference.info, reference.arrays
    setting = info['oim']
    loss: OIMLoss | LOIMLoss
    size = (setting['num_labelled'], setting['queue_size'])
    common = dict(dim=setting['dim'], temperature=1 / setting['scalar'])
    if name == 'oim':
        loss = OIMLoss(*size, momentum=setting['momentum'], **common)
    else:
        loss = LOIMLoss(*size, eps=setting['eps'], iou_min=setting['iou_clamp_min'], **common)
    for step in range(setting['steps']):
        x, labels, ious = fixtures.oim_batch(step, info['seed'])
        x = torch.from_numpy(x).requires_grad_()
        value = loss(x, pids_of(labels), torch.from_numpy(ious))
        value.backward()
        loss.commit()
        np.testing.assert_allclose(value.item(), arrays[f'{name}_losses'][step], **TOLERANCE)
        np.testing.assert_allclose(x.grad, arrays[f'{name}_grads'][step], **TOLERANCE)
    np.testing.assert_allclose(loss.table.vectors, arrays[f'{name}_lut'], **TOLERANCE)
    np.testing.assert_allclose(loss.queue.vectors, arrays[f'{name}_cq'], **TOLERANCE)
    assert loss.queue.head == arrays[f'{name}_header']


@pytest.mark.parametrize(('kind', 'layer'), [('1d', ProtoNorm1d), ('2d', ProtoNorm2d)])
def test_proto_norm(
    kind: str, layer: type[ProtoNorm1d | ProtoNorm2d], reference: Any, fixtures: Any
) -> None:
    info, arrays = reference.info, reference.arrays
    setting = info['protonorm']
    norm = layer(
        setting['shapes'][kind][1],
        setting['eps'],
        momentum=setting['momentum'],
        affine=kind == '2d',
    )
    for step in range(setting['steps']):
        x, labels, weight = fixtures.protonorm_batch(kind, step, info['seed'])
        x = torch.from_numpy(x).requires_grad_()
        with prototype_labels(norm, pids_of(labels)):
            out = norm(x)
        (out * torch.from_numpy(weight)).sum().backward()
        np.testing.assert_allclose(out.detach(), arrays[f'pn{kind}_out'][step], **TOLERANCE)
        np.testing.assert_allclose(x.grad, arrays[f'pn{kind}_grad'][step], **TOLERANCE)
    np.testing.assert_allclose(norm.running_mean, arrays[f'pn{kind}_mean'], **TOLERANCE)
    np.testing.assert_allclose(norm.running_var, arrays[f'pn{kind}_var'], **TOLERANCE)
    out = norm.eval()(torch.from_numpy(fixtures.protonorm_eval_input(kind, info['seed'])))
    np.testing.assert_allclose(out.detach(), arrays[f'pn{kind}_eval'], **TOLERANCE)
