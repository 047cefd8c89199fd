# OIMNet++ (ECCV 2022), Table 2: ProtoNorm and OIM.
_base_ = '../oim_r50_prw.py'

model = dict(roi_head=dict(embedding_head=dict(norm_cfg=dict(type='mmps.PN1d', affine=False))))
