_base_ = [
    './_base_/models/seqxt_convnext_b.py',
    './_base_/datasets/uestc-ps.py',
    './_base_/schedules/seqxt_22e.py',
    './_base_/default_runtime.py',
]

# The paper's sizes.
model = dict(roi_head=dict(loss_reid=dict(num_persons=277, queue_size=500)))
