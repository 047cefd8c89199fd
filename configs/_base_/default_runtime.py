custom_imports = dict(imports=['mmps'], allow_failed_imports=False)
default_scope = 'mmdet'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Whole or not at all ('atomic'); keep two at least, as MMEngine removes before it writes.
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=3,
        save_best='search/mAP',
        rule='greater',
        backend_args=dict(backend='atomic'),
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='DetVisualizationHook'),
)
custom_hooks = [
    dict(type='mmps.MemoryHook'),
    dict(type='mmps.MemoryCheckpointHook'),
    # Both end the training with the names of the images: max_skipped and max_share allow for some.
    dict(type='mmps.NonFiniteLossHook', max_skipped=0),
    dict(type='mmps.UnreadableImagesHook', max_share=0.01),
    # Ranked results of some queries after every evaluation, to the visualizer's back ends.
    dict(type='mmps.SearchVisualizationHook'),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='mmps.PersonSearchVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)

log_level = 'INFO'
load_from = None
resume = False
