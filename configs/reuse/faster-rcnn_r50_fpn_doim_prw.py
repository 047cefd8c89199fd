# Parts of mmps in MMDet's own Faster R-CNN: its RoI head embeds what it detects. Backbone, FPN,
# RPN, samplers, box head, test settings and schedule stay MMDet's. With type='FasterRCNN' it is the
# same detector, but queries are not embedded.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    '../_base_/datasets/prw.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='mmps.PersonSearchDetector',
    roi_head=dict(
        type='mmps.ParallelRoIHead',
        # The 256 channels of the FPN are what the second stage of a ResNet-50 takes.
        roi_stage=dict(
            type='mmps.RoIStage',
            stage=dict(
                type='ResLayer',
                depth=50,
                stage=1,
                norm_eval=False,
                init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
            ),
        ),
        bbox_head=dict(in_channels=512, roi_feat_size=1, num_classes=1, reg_class_agnostic=True),
        embedding_head=dict(
            type='mmps.NormAwareEmbedding',
            in_channels=(256, 512),
            norm_cfg=dict(type='mmps.PN1d'),
        ),
        loss_reid=dict(type='mmps.DOIMLoss', num_persons=483, queue_size=500),
    ),
)
# MMDet's learning rate is for 16 images a step: train with --auto-scale-lr.
