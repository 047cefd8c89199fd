# SeqXt (CMC 2025), Table 4: SeqNet's BatchNorm and OIM, so SeqNet on ConvNeXt-B (Table 2).
_base_ = './seqxt_pn_oim_convnext_b_prw.py'

model = dict(roi_head=dict(embedding_head=dict(norm_cfg=dict(_delete_=True, type='BN1d'))))
