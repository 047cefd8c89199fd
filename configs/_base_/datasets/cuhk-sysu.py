# CUHK-SYSU in its published layout; sizes, batch and pipelines are those of PRW.
_base_ = './prw.py'

dataset_type = 'mmps.CUHKSYSUDataset'
data_root = 'data/CUHK-SYSU/'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
test_dataloader = val_dataloader

# Galleries of 100 images are what everybody reports; a test also gives the other sizes. Reading
# the largest file takes minutes the first time.
protocol = dict(type='mmps.cuhk_sysu_protocol')
val_evaluator = dict(
    _delete_=True,
    type='mmps.PersonSearchMetric',
    searches=dict(search=dict(protocol=dict(**protocol, gallery_size=100))),
)
test_evaluator = dict(
    _delete_=True,
    type='mmps.PersonSearchMetric',
    searches=dict(
        search=dict(protocol=dict(**protocol, gallery_size=100)),
        search_50=dict(protocol=dict(**protocol, gallery_size=50)),
        search_500=dict(protocol=dict(**protocol, gallery_size=500)),
        search_1000=dict(protocol=dict(**protocol, gallery_size=1000)),
        search_2000=dict(protocol=dict(**protocol, gallery_size=2000)),
        search_4000=dict(protocol=dict(**protocol, gallery_size=4000)),
        search_full=dict(protocol=dict(**protocol, gallery_size=-1)),
    ),
)
