# A small SeqXt, trained from scratch on the generated sample (tools/make_sample.py) in minutes on
# two CPU cores. All but sizes and schedule is as in seqxt_convnext_b_prw.py.
_base_ = [
    './_base_/models/seqxt_convnext_b.py',
    './_base_/datasets/prw.py',
    './_base_/schedules/seqnet_18e.py',
    './_base_/default_runtime.py',
]

# ----------------------------------------------------------------- model
# ConvNeXt cut before its last stage, but of three narrow stages, so that features have stride 8.
# Nothing is pretrained: no layer scale, which would start every block at nothing.
stride = 8
channels = [48, 96, 192]
arch = dict(depths=[1, 2, 2], channels=channels)
init_cfg = dict(type='TruncNormal', layer=['Conv2d', 'Linear'], std=0.02, bias=0.0)
last_stage = dict(
    _delete_=True,
    type='mmps.ConvNeXtStage',
    arch=arch,
    stage=2,
    layer_scale_init_value=0.0,
    init_cfg=init_cfg,
)
model = dict(
    frozen_parameters=(),
    backbone=dict(
        arch=dict(depths=arch['depths'][:2], channels=channels[:2]),
        out_indices=[1],
        layer_scale_init_value=0.0,
        init_cfg=dict(_delete_=True, **init_cfg),
    ),
    rpn_head=dict(
        in_channels=channels[1],
        feat_channels=channels[1],
        # People walking and standing, 50 to 190 pixels tall.
        anchor_generator=dict(scales=(4.5, 7, 10, 14), ratios=(2.0, 3.0), strides=(stride,)),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(output_size=(8, 4)),
            out_channels=channels[1],
            featmap_strides=(stride,),
        ),
        box_stage=dict(stage=last_stage),
        # 10, SeqXt's weight, drowns the other losses where features are learned from scratch.
        bbox_head=dict(in_channels=channels[2], loss_bbox=dict(loss_weight=2.0)),
        reid_stage=dict(stage=last_stage),
        reid_bbox_head=dict(in_channels=channels[2]),
        # From scratch the BatchNorms and OIM's table learn much faster: prototypes that hardly move
        # for "hard" rows (HEA) stay what the untrained network made them.
        embedding_head=dict(
            in_channels=channels[1:], dim=128, norm_cfg=dict(_delete_=True, type='BN1d')
        ),
        loss_reid=dict(num_persons=150, queue_size=64, dim=128, hea=False),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=1000, max_per_img=200),
        rcnn=dict(sampler=dict(num=32)),
    ),
    # Scores of a short training are low: AP, unlike search, also counts what lies below 0.5. And
    # its second regression brings boxes of one person closer together than SeqNet's does, which
    # counts as false alarms unless the second NMS is as strict as the first.
    test_cfg=dict(
        rpn=dict(nms_pre=1000, max_per_img=200),
        rcnn=dict(
            stage1=dict(score_thr=0.05), stage2=dict(score_thr=0.05, nms=dict(iou_threshold=0.4))
        ),
    ),
)

# ----------------------------------------------------------------- data
data_root = 'data/sample/'
scale = (400, 240)
train_pipeline = [
    dict(type='mmps.LoadImage', skip_unreadable=True),
    dict(type='mmps.LoadPersonSearchAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='mmps.PackPersonSearchInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='mmps.LoadPersonSearchAnnotations'),
    dict(type='mmps.PackPersonSearchInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=test_pipeline),
)
test_dataloader = val_dataloader

# ----------------------------------------------------------------- schedule
max_epochs = 4
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=3e-3, weight_decay=0.05),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, begin=0, end=180),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        T_max=max_epochs,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=4)
default_hooks = dict(logger=dict(interval=25))
custom_hooks = [
    dict(type='mmps.ChannelsLastHook'),
    dict(type='mmps.MemoryHook'),
    dict(type='mmps.MemoryCheckpointHook'),
    dict(type='mmps.NonFiniteLossHook', max_skipped=0),
    dict(type='mmps.UnreadableImagesHook', max_share=0.01),
    dict(type='mmps.SearchVisualizationHook'),
]
