# SeqXt's schedule: 1.5e-4 -> 3e-3 over the first epoch, step at epoch 16, 22 epochs. The paper
# does not name its optimiser; SeqNet's stays.
_base_ = './seqnet_18e.py'

train_cfg = dict(max_epochs=22)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.05,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True,
    ),
    dict(type='MultiStepLR', by_epoch=True, milestones=[16], gamma=0.1),
]
