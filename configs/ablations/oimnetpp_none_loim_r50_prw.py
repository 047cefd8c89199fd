# OIMNet++ (ECCV 2022), Table 2: no norm after the Linear, LOIM.
_base_ = '../oimnetpp_r50_prw.py'

model = dict(roi_head=dict(embedding_head=dict(norm_cfg=None)))
