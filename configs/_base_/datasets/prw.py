# PRW-v16.04.20 in its published layout, with the sizes and the batch of SeqNet and SeqXt.
dataset_type = 'mmps.PRWDataset'
data_root = 'data/PRW-v16.04.20/'

# Shorter side 900, but the longer at most 1500: torchvision's min_size=900, max_size=1500.
scale = (1500, 900)

# The authors decode with Pillow; OpenCV, MMCV's default, is faster and differs by a grey level
# here and there.
train_pipeline = [
    dict(type='mmps.LoadImage', skip_unreadable=True),
    dict(type='mmps.LoadPersonSearchAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='mmps.PackPersonSearchInputs'),
]
# Annotations are loaded after Resize: metrics want them in pixels of the frame.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='mmps.LoadPersonSearchAnnotations'),
    dict(type='mmps.PackPersonSearchInputs'),
]

train_dataloader = dict(
    batch_size=5,
    num_workers=5,
    persistent_workers=True,
    # As the authors: no last batch of fewer images, whose statistics would be noisier.
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='train',
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
# Frames of the gallery carry their queries: one pass gives detections and query embeddings.
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='gallery',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='mmps.PersonSearchMetric')
test_evaluator = dict(
    type='mmps.PersonSearchMetric',
    searches=dict(
        search=dict(),
        search_cross_camera=dict(protocol=dict(type='mmps.prw_protocol', cross_camera=True)),
        # More searches in the same predictions, each with a row of figures of its own:
        # search_cbgm=dict(cbgm=dict(k1=30, k2=4)),  # SeqNet's re-ranking by context
        # search_no_cws=dict(cws=False),
        # search_strict=dict(matching='strict'),
        # reid=dict(gallery='ground_truth'),  # with model.test_cfg.embed_ground_truth=True
    ),
)
