# SeqXt (CMC 2025), Table 4: no norm after the Linear layers, DOIM.
_base_ = '../seqxt_convnext_b_prw.py'

model = dict(roi_head=dict(embedding_head=dict(norm_cfg=None)))
