"""What is special to the head of the single-stage methods."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_overlaps
from small_models import Recorder, build_model, in_every_selection, make_batch

from mmps.models.layers import prototype_weights

KEEP_ALL = in_every_selection('nae_r50_prw', score_thr=-1.0, min_size=-1.0, nms__iou_threshold=1.0)


@pytest.mark.parametrize('name', ['oim_r50_prw', 'nae_r50_prw'])
def test_embeddings_are_those_of_the_proposals(name: str) -> None:
    model = build_model(name, **KEEP_ALL).eval()
    head = model.roi_head
    head.reidentify = Recorder(head.reidentify)
    batch = make_batch([0, 1])
    del batch['data_samples'][0].query_instances
    with torch.no_grad():
        (sample,) = model.test_step(batch)
    ((_, (proposals,)),) = head.reidentify.arguments
    ((embeddings, scores, deltas),) = head.reidentify.results
    found = sample.pred_instances
    assert len(found) == len(proposals) > 5
    # Person is class 0 of MMDet.
    order = scores[:, 0].sub(scores[:, 1]).argsort(descending=True)
    torch.testing.assert_close(found.scores, scores.softmax(dim=1)[order, 0])
    torch.testing.assert_close(found.embeddings, embeddings[order])
    boxes = head.bbox_head.bbox_coder.decode(proposals, deltas, max_shape=(96, 160))
    torch.testing.assert_close(found.bboxes, boxes[order])


def test_norm_is_the_logit_of_nae() -> None:
    model = build_model('nae_r50_prw').train()
    head = model.roi_head
    head.reidentify = Recorder(head.reidentify)
    head.embedding_head.forward = Recorder(head.embedding_head.forward)
    head.loss_reid.forward = Recorder(head.loss_reid.forward)
    data = model.data_preprocessor(make_batch([0, 1], [2, -1]), training=True)
    losses = model.loss(data['inputs'], data['data_samples'])
    ((_, logits),) = head.embedding_head.forward.results
    ((_, scores, _),) = head.reidentify.results
    ((_, pids, _),) = head.loss_reid.forward.arguments
    torch.testing.assert_close(scores.softmax(dim=1)[:, 0], logits.sigmoid())
    expected = F.binary_cross_entropy_with_logits(logits, (pids >= -1).float())
    torch.testing.assert_close(losses['loss_cls'], expected)
    assert not hasattr(head.bbox_head, 'fc_cls')


def test_overlaps_and_identities_reach_the_loss() -> None:
    model = build_model('oimnetpp_r50_prw').train()
    head = model.roi_head
    head.reidentify = Recorder(head.reidentify)
    head.loss_reid.forward = Recorder(head.loss_reid.forward)
    batch = make_batch([0, 1], [2, -1])
    data = model.data_preprocessor(batch, training=True)
    model.loss(data['inputs'], data['data_samples'])
    ((_, boxes),) = head.reidentify.arguments
    ((_, pids, ious),) = head.loss_reid.forward.arguments
    assert len(pids) == len(ious) == sum(map(len, boxes))
    sizes = [len(b) for b in boxes]
    for sample, b, of_image, overlaps in zip(
        batch['data_samples'], boxes, pids.split(sizes), ious.split(sizes), strict=True
    ):
        gts = sample.gt_instances
        best, person = bbox_overlaps(b, gts.bboxes).max(dim=1)
        positive = best >= 0.5
        assert positive.sum() >= 2
        torch.testing.assert_close(overlaps, torch.where(positive, best, 0.0))
        assert torch.equal(of_image, torch.where(positive, gts.pids[person], -2))


@pytest.mark.parametrize('name', ['oimnetpp_r50_prw', 'oimnetppp_r50_prw'])
def test_proto_norms_know_the_identities(name: str) -> None:
    model = build_model(name).train()
    head = model.roi_head
    outputs = []
    # Scale and shift are 1 and 0 in a new ProtoNorm. A ReLU writes into what it returns.
    norm = head.roi_stage.stage.layer4[0].bn1 if name == 'oimnetppp_r50_prw' else None
    for layer in filter(None, [head.embedding_head.norm, norm]):
        layer.register_forward_hook(lambda _, __, out: outputs.append(out.detach().clone()))
    head.loss_reid.forward = Recorder(head.loss_reid.forward)
    data = model.data_preprocessor(make_batch([0, 1], [2, -1]), training=True)
    model.loss(data['inputs'], data['data_samples'])
    ((_, pids, _),) = head.loss_reid.forward.arguments
    weights = prototype_weights(pids, pids)
    assert len(outputs) == (1 if norm is None else 2)
    for out in outputs:
        rows = out.flatten(2).mean(dim=2) if out.dim() > 2 else out
        # The mean of the prototypes is what is subtracted, not that of the rows.
        torch.testing.assert_close(weights @ rows, torch.zeros(rows.shape[1]), rtol=0, atol=1e-4)
        assert rows.mean(dim=0).abs().max() > 1e-2


def test_something_must_classify() -> None:
    model = build_model('oim_r50_prw', roi_head__bbox_head__with_cls=False).train()
    data = model.data_preprocessor(make_batch([0, 1]), training=True)
    with pytest.raises(ValueError, match='LinearEmbedding gives no logits: set with_cls=True'):
        model.loss(data['inputs'], data['data_samples'])


def test_mask_head_is_refused() -> None:
    with pytest.raises(ValueError, match='ParallelRoIHead has no mask head; remove mask_head'):
        build_model('oim_r50_prw').roi_head.init_mask_head(None, None)
