# SeqXt (CMC 2025), Table 2: SeqNet's ResNet-50 instead of ConvNeXt-B, all else as in
# seqxt_convnext_b_prw.py. SeqNet on ConvNeXt-B is seqxt_bn_oim_convnext_b_prw.py.
_base_ = [
    '../_base_/models/seqnet_r50.py',
    '../_base_/datasets/prw.py',
    '../_base_/schedules/seqxt_22e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    roi_head=dict(
        embedding_head=dict(norm_cfg=dict(type='mmps.PN1d', affine=False)),
        loss_reid=dict(
            type='mmps.DOIMLoss',
            num_persons=483,
            queue_size=500,
            hea=True,
            smr=True,
            decay=0.99,
        ),
    ),
)
