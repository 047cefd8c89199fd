_base_ = [
    './_base_/models/oimnetpp_r50.py',
    './_base_/datasets/cuhk-sysu.py',
    './_base_/schedules/oimnet_20e.py',
    './_base_/default_runtime.py',
]

model = dict(roi_head=dict(loss_reid=dict(num_persons=5532, queue_size=5000)))
