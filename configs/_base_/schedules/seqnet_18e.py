# SeqNet's schedule: SGD, linear warm-up over the first epoch, step at epoch 16.
max_epochs = 18
train_cfg = dict(type='mmps.ResumableEpochLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.003, momentum=0.9, weight_decay=0.0005),
    clip_grad=dict(max_norm=10.0, norm_type=2),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True,
    ),
    dict(type='MultiStepLR', by_epoch=True, milestones=[16], gamma=0.1),
]

# The learning rate is for 5 images a step; --auto-scale-lr scales it with the real number.
auto_scale_lr = dict(enable=False, base_batch_size=5)
