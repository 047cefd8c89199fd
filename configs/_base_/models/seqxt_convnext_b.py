# SeqXt (CMC 2025, 10.32604/cmc.2025.067264): SeqNet on ConvNeXt-B, cut after its third stage;
# its fourth stage is the RoI head of both stages. ProtoNorm without affine takes the place of the
# BatchNorms of the embedding, DOIM that of OIM.
_base_ = './seqnet_r50.py'

pretrained = dict(
    type='Pretrained',
    checkpoint='https://download.openmmlab.com/mmclassification/v0/convnext/'
    'convnext-base_3rdparty_32xb128_in1k_20220124-d0915162.pth',
    prefix='backbone.',
)
stage4 = dict(
    _delete_=True,
    type='mmps.RoIStage',
    pooling='max',
    stage=dict(type='mmps.ConvNeXtStage', arch='base', stage=3, init_cfg=pretrained),
)

model = dict(
    frozen_parameters=('backbone.downsample_layers.0',),
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ConvNeXt',
        arch=dict(depths=[3, 3, 27], channels=[128, 256, 512]),
        out_indices=[2],
        gap_before_final_norm=False,
        init_cfg=pretrained,
    ),
    rpn_head=dict(in_channels=512, feat_channels=512),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=512),
        box_stage=stage4,
        bbox_head=dict(in_channels=1024),
        reid_stage=stage4,
        reid_bbox_head=dict(in_channels=1024),
        embedding_head=dict(in_channels=(512, 1024), norm_cfg=dict(type='mmps.PN1d', affine=False)),
        loss_reid=dict(type='mmps.DOIMLoss', hea=True, smr=True, decay=0.99),
    ),
)
