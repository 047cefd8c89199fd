# SeqXt (CMC 2025), Table 4: no norm after the Linear layers, OIM.
_base_ = './seqxt_pn_oim_convnext_b_prw.py'

model = dict(roi_head=dict(embedding_head=dict(norm_cfg=None)))
