# SeqXt (CMC 2025), Table 4: SeqNet's BatchNorm and DOIM.
_base_ = '../seqxt_convnext_b_prw.py'

model = dict(roi_head=dict(embedding_head=dict(norm_cfg=dict(_delete_=True, type='BN1d'))))
