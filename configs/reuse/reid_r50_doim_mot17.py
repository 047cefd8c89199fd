# Parts of mmps in a re-identification model of MMDet and mmpretrain (BaseReID is an mmpretrain
# ImageClassifier): its head alone is replaced, and the neck pools two levels for it.
_base_ = 'mmdet::reid/reid_r50_8xb32-6e_mot17train80_test-mot17val20.py'
custom_imports = dict(imports=['mmps'], allow_failed_imports=False)

model = dict(
    backbone=dict(out_indices=(2, 3)),
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(
        _delete_=True,
        type='mmps.ReIDHead',
        embedding_head=dict(
            type='mmps.NormAwareEmbedding',
            in_channels=(1024, 2048),
            norm_cfg=dict(type='mmps.PN1d'),
        ),
        # Every crop has an identity: there is nobody to queue.
        loss_reid=dict(type='mmps.DOIMLoss', num_persons=380, queue_size=0),
    ),
)
custom_hooks = [dict(type='mmps.MemoryHook')]
