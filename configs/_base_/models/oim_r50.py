# OIM (Xiao et al., CVPR 2017) as the authors of OIMNet++ rebuilt it ("OIMNet" in their code): the
# CVPR paper's own code is of another framework, with other anchors and pooling.
_base_ = './parallel_r50.py'

model = dict(
    rpn_head=dict(
        # Sides of 8, 16 and 32 pixels: what their code has. A box grows to a person's size by its
        # regressed deltas.
        anchor_generator=dict(scales=(0.5, 1, 2)),
    ),
    roi_head=dict(
        bbox_head=dict(init_cfg=dict(type='Normal', layer='Linear', std=0.01)),
        embedding_head=dict(_delete_=True, type='mmps.LinearEmbedding', in_channels=2048, dim=256),
    ),
    # Their code drops no box for its size.
    test_cfg=dict(rcnn=dict(min_size=0.0)),
)
