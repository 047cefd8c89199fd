_base_ = [
    './_base_/models/seqnet_r50.py',
    './_base_/datasets/cuhk-sysu.py',
    './_base_/schedules/seqnet_18e.py',
    './_base_/default_runtime.py',
]

model = dict(roi_head=dict(loss_reid=dict(num_persons=5532, queue_size=5000)))
# Two epochs more than on PRW: all that differs in its authors' code but for the memory's size.
max_epochs = 20
train_cfg = dict(max_epochs=max_epochs)
