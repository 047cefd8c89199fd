# OIMNet+++ (Lee et al., ECCV 2022): OIMNet++ with ProtoNorm for every BatchNorm of conv5 too.
_base_ = './oimnetpp_r50.py'

model = dict(roi_head=dict(roi_stage=dict(proto_norm=True)))
