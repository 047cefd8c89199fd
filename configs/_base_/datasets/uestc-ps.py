# UESTC-PS (SeqXt, CMC 2025) as COCO JSON with identities: sequences and trajectories, brought into
# the layout of tools/dataset_converters/to_coco.py (tracks) and split by split_by_identity.py with
# --num-train 277. Sizes, batch and pipelines are those of PRW.
_base_ = './prw.py'

dataset_type = 'mmps.CocoPersonSearchDataset'
data_root = 'data/UESTC-PS/'

train_dataloader = dict(
    dataset=dict(type=dataset_type, data_root=data_root, ann_file='train.json'),
)
val_dataloader = dict(
    dataset=dict(type=dataset_type, data_root=data_root, ann_file='test.json'),
)
test_dataloader = val_dataloader

# In a sequence a person hardly changes from frame to frame: other sequences are the harder search.
val_evaluator = dict(
    _delete_=True,
    type='mmps.PersonSearchMetric',
    searches=dict(
        search=dict(protocol=dict(type='mmps.custom_protocol', exclude='image')),
        search_cross_sequence=dict(protocol=dict(type='mmps.custom_protocol', exclude='sequence')),
    ),
)
test_evaluator = val_evaluator
