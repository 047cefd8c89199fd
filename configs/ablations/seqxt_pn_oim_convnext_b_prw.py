# SeqXt (CMC 2025), Table 3, neither HEA nor SMR, and Table 4, ProtoNorm and OIM: that is what DOIM
# without both is.
_base_ = '../seqxt_convnext_b_prw.py'

model = dict(roi_head=dict(loss_reid=dict(hea=False, smr=False)))
