# SeqXt (CMC 2025), Table 3: SMR alone. Without either: seqxt_pn_oim_convnext_b_prw.py.
_base_ = '../seqxt_convnext_b_prw.py'

model = dict(roi_head=dict(loss_reid=dict(hea=False)))
