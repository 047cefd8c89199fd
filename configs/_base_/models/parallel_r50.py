# One stage on ResNet-50-C4: a Faster R-CNN whose RoI head embeds what it classifies and regresses.
# Everything up to the RoIs, and every part of the head, is SeqNet's first stage.
_base_ = './seqnet_r50.py'

model = dict(
    roi_head=dict(
        _delete_=True,
        type='mmps.ParallelRoIHead',
        bbox_roi_extractor={{_base_.model.roi_head.bbox_roi_extractor}},
        roi_stage={{_base_.res5}},
        bbox_head={{_base_.model.roi_head.bbox_head}},
        embedding_head={{_base_.model.roi_head.embedding_head}},
        loss_reid={{_base_.model.roi_head.loss_reid}},
    ),
    test_cfg=dict(
        rcnn=dict(
            _delete_=True,
            score_thr=0.5,
            min_size=1e-2,
            nms=dict(type='torchvision_nms', iou_threshold=0.4),
            max_per_img=300,
        ),
    ),
)
