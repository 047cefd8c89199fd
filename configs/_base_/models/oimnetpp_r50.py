# OIMNet++ (Lee et al., ECCV 2022, arXiv 2207.10320): OIM with ProtoNorm after the Linear of the
# embedding and the localisation-aware loss LOIM.
_base_ = './oim_r50.py'

model = dict(
    roi_head=dict(
        embedding_head=dict(norm_cfg=dict(type='mmps.PN1d', affine=False)),
        loss_reid=dict(
            _delete_=True,
            type='mmps.LOIMLoss',
            dim=256,
            eps=0.1,
            iou_min=0.7,
            temperature=1 / 30,
        ),
    ),
)
