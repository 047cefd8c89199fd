"""Our own choice of proposals and anchors has a GPU waited for as rarely as can be."""

from typing import Any

import torch
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmengine.registry import init_default_scope
from small_models import build_model, make_batch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmps.models.task_modules import BestOverlapAssigner

# What has as many results as the numbers in it say, or is one of these numbers.
WAITING = {'_local_scalar_dense', 'nonzero', '_unique2', 'masked_select', 'nms'}
INDEXING = {'index', 'index_put', 'index_put_'}


class Waits(TorchDispatchMode):
    """Notes the operations for whose result the host would have to wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        by_mask = name in INDEXING and any(i.dtype == torch.bool for i in args[1] if i is not None)
        if name in WAITING or by_mask:
            self.names.append(name)
        return func(*args, **(kwargs or {}))


def test_assigning_anchors_waits_no_more_than_mmdet() -> None:
    init_default_scope('mmdet')
    overlaps = torch.rand(3, 50, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(3, dtype=torch.int64)
    waits = []
    for kind in (MaxIoUAssigner, BestOverlapAssigner):
        with Waits() as seen:
            kind(pos_iou_thr=0.7, neg_iou_thr=0.3).assign_wrt_overlaps(overlaps, labels)
        waits.append(seen.names)
    assert waits[0]  # those are seen
    assert waits[1] == waits[0]


def test_proposals_of_an_image_wait_for_sizes_and_for_nms() -> None:
    head = build_model('seqnet_r50_prw').rpn_head.eval()
    maps: list[Tensor] = list(head([torch.randn(2, 256, 6, 10)]))
    metas = [dict(img_shape=(96, 160), scale_factor=(1.0, 1.0))] * 2
    with torch.no_grad(), Waits() as seen:
        head.predict_by_feat(*maps, batch_img_metas=metas)
    assert seen.names == ['nonzero', 'nms'] * 2


def waits_of_a_step(**overrides: Any) -> int:
    """Of the losses of two images."""
    model = build_model('seqnet_r50_prw', **overrides)
    batch = model.data_preprocessor(make_batch((0, 1, -1), (2, -1)), training=True)
    with Waits() as seen:
        losses = model.loss(batch['inputs'], batch['data_samples'])
    assert losses['loss_reid'] > 0
    return len(seen.names)


def test_a_training_step_waits_less_than_with_the_rpn_of_mmdet() -> None:
    """The counts are those of docs/performance.md."""
    with_mmdet = waits_of_a_step(
        rpn_head__type='mmdet.RPNHead',
        train_cfg__rpn__assigner__type='MaxIoUAssigner',
        train_cfg__rpn_proposal__nms=dict(type='nms', iou_threshold=0.7),
    )
    ours = waits_of_a_step()
    assert ours <= 92
    assert with_mmdet - ours >= 6
