# SeqNet on ResNet-50-C4 (Li and Miao, AAAI 2021) with the settings of its authors' code.
# Anchors, rounding, RoIAlign, NMS and thresholds are torchvision's, so that published weights
# give the published boxes.
norm_cfg = dict(type='BN', requires_grad=True)
# MMDet's coder bounds the regressed width and height from below and above, torchvision's from above
# alone; so does MMDet's where the centre is bounded too, here at a distance that never binds.
upper_bound_only = dict(add_ctr_clamp=True, ctr_clamp=1e6)
pretrained = dict(type='Pretrained', checkpoint='torchvision://resnet50')
res5 = dict(
    type='mmps.RoIStage',
    pooling='max',
    stage=dict(
        type='ResLayer',
        depth=50,
        stage=3,
        stride=2,
        style='pytorch',
        norm_cfg=norm_cfg,
        norm_eval=False,
        init_cfg=pretrained,
    ),
)
bbox_head = dict(
    type='BBoxHead',
    in_channels=2048,
    roi_feat_size=1,
    num_classes=1,
    reg_class_agnostic=True,
    bbox_coder=dict(
        type='DeltaXYWHBBoxCoder', target_stds=(0.1, 0.1, 0.2, 0.2), **upper_bound_only
    ),
    loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
)

model = dict(
    type='mmps.PersonSearchDetector',
    frozen_parameters=('backbone.conv1', 'backbone.bn1'),
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
        init_cfg=pretrained,
    ),
    rpn_head=dict(
        type='mmps.LogitRPNHead',
        in_channels=1024,
        feat_channels=1024,
        anchor_generator=dict(
            type='mmps.RoundedAnchorGenerator',
            scales=(2, 4, 8, 16, 32),
            ratios=(0.5, 1.0, 2.0),
            strides=(16,),
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_stds=(1.0, 1.0, 1.0, 1.0), **upper_bound_only
        ),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='SmoothL1Loss', beta=1 / 9, loss_weight=1.0),
    ),
    roi_head=dict(
        type='mmps.SeqRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=2, aligned=False),
            out_channels=1024,
            featmap_strides=(16,),
        ),
        box_stage=res5,
        bbox_head=dict(
            bbox_head,
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=10.0),
        ),
        reid_stage=res5,
        reid_bbox_head=dict(
            bbox_head,
            with_cls=False,
            reg_predictor_cfg=dict(type='mmps.LinearNorm'),
            init_cfg=dict(type='Normal', layer=['Linear', 'BatchNorm1d'], std=0.01),
        ),
        embedding_head=dict(
            type='mmps.NormAwareEmbedding',
            in_channels=(1024, 2048),
            dim=256,
            norm_cfg=dict(type='BN1d'),
        ),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_reid=dict(
            type='mmps.OIMLoss',
            # num_persons and queue_size belong to the dataset: the child config sets them.
            dim=256,
            momentum=0.5,
            temperature=1 / 30,
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='mmps.BestOverlapAssigner',
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
                min_pos_iou=0.0,
                match_low_quality=True,
            ),
            sampler=dict(
                type='RandomSampler',
                num=256,
                pos_fraction=0.5,
                neg_pos_ub=-1,
                add_gt_as_proposals=False,
            ),
            allowed_border=-1,
            pos_weight=-1,
        ),
        rpn_proposal=dict(
            nms_pre=12000,
            max_per_img=2000,
            nms=dict(type='torchvision_nms', iou_threshold=0.7),
            min_bbox_size=1e-3,
        ),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=False,
            ),
            sampler=dict(
                type='RandomSampler',
                num=128,
                pos_fraction=0.5,
                neg_pos_ub=-1,
                add_gt_as_proposals=True,
            ),
            pos_weight=-1,
        ),
    ),
    test_cfg=dict(
        rpn=dict(
            nms_pre=6000,
            max_per_img=300,
            nms=dict(type='torchvision_nms', iou_threshold=0.7),
            min_bbox_size=1e-3,
        ),
        rcnn=dict(
            stage1=dict(
                score_thr=0.5,
                min_size=1e-2,
                nms=dict(type='torchvision_nms', iou_threshold=0.4),
                max_per_img=300,
            ),
            stage2=dict(
                score_thr=0.5,
                min_size=1e-2,
                nms=dict(type='torchvision_nms', iou_threshold=0.5),
                max_per_img=300,
            ),
            fcs=True,
        ),
    ),
)
