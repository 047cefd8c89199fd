"""Transforms that carry identities and queries through MMDet's pipelines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs
from mmengine.structures import InstanceData

from mmps.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadPersonSearchAnnotations(LoadAnnotations):
    """Boxes, labels, ignore flags and identities of an item's N ``instances``.

    Adds ``gt_bboxes`` (N, 4), ``gt_bboxes_labels`` (N,), ``gt_ignore_flags`` (N,) as MMDet does,
    and ``gt_instances_ids``: (N,) int64 pids, under the key that MMDet's ``RandomCrop`` keeps in
    step with the boxes. Boxes are in pixels of the frame: a test pipeline that wants them so loads
    annotations after ``Resize``, a training pipeline before it.

    Args:
        box_type: type of the boxes, see :class:`mmdet.datasets.transforms.LoadAnnotations`.

    Raises:
        KeyError: an instance has no ``pid``; the message names the image.
    """

    def __init__(self, *, box_type: str = 'hbox') -> None:
        super().__init__(box_type=box_type)

    def transform(self, results: dict) -> dict:
        """Add the keys that the class describes."""
        results = super().transform(results)
        try:
            pids = [instance['pid'] for instance in results['instances']]
        except KeyError as error:
            raise KeyError(
                f"an instance of {results.get('img_path')} has no 'pid': the dataset must give "
                'the identity of every box (-1 for none)'
            ) from error
        results['gt_instances_ids'] = np.array(pids, dtype=np.int64)
        return results


@TRANSFORMS.register_module()
class PackPersonSearchInputs(PackDetInputs):
    """Pack the image, the annotated persons and the queries of an item.

    ``data_samples.gt_instances`` has ``bboxes``, ``labels`` and ``pids`` (int64) if annotations
    were loaded. ``data_samples.query_instances`` is always there, possibly empty, with ``bboxes``
    (Q, 4) float32 in pixels of the *original* frame (no transform touches them), ``pids`` (Q,)
    and ``query_ids`` (Q,) int64.

    Args:
        meta_keys: keys of the item that become metainfo of the data sample, where present.

    Raises:
        ValueError: boxes and identities differ in number, because a transform before dropped
            boxes only; the message names the image.
    """

    mapping_table = {**PackDetInputs.mapping_table, 'gt_instances_ids': 'pids'}

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            'img_id',
            'img_path',
            'img_name',
            'camera_id',
            'sequence_id',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'unreadable',
        ),
    ) -> None:
        super().__init__(meta_keys=meta_keys)

    def transform(self, results: dict) -> dict[str, Any]:
        """Pack ``inputs`` (3, H, W) and ``data_samples`` as the class describes."""
        if 'gt_instances_ids' in results:
            boxes, pids = len(results['gt_bboxes']), len(results['gt_instances_ids'])
            if boxes != pids:
                raise ValueError(
                    f'{results.get("img_path")} has {boxes} boxes but {pids} identities: a '
                    "transform of the pipeline drops or adds boxes without 'gt_instances_ids' "
                    '(of MMDet, RandomCrop keeps it in step; FilterAnnotations, RandomAffine and '
                    'Mosaic do not)'
                )
        packed = super().transform(results)
        queries = results.get('queries', [])
        packed['data_samples'].query_instances = InstanceData(
            bboxes=torch.tensor([query['bbox'] for query in queries], dtype=torch.float32).reshape(
                -1, 4
            ),
            pids=torch.tensor([query['pid'] for query in queries], dtype=torch.int64),
            query_ids=torch.tensor([query['query_id'] for query in queries], dtype=torch.int64),
        )
        return packed
