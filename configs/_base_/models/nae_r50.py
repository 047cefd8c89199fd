# NAE (Chen et al., CVPR 2020): the norm of the embedding is the detection logit, so that the box
# head has no classifier. Anchors, embedding, regressor with BatchNorm, factor 10 of the regression,
# test settings: its authors' code, which is where SeqNet, and so the base, has them from.
_base_ = './parallel_r50.py'

model = dict(
    roi_head=dict(
        bbox_head=dict(
            with_cls=False,
            reg_predictor_cfg=dict(type='mmps.LinearNorm'),
            init_cfg=dict(type='Normal', layer=['Linear', 'BatchNorm1d'], std=0.01),
        ),
    ),
    # Unlike SeqNet's, NAE's code takes proposals for background from an IoU below 0.1 alone and
    # leaves out those between 0.1 and 0.5.
    train_cfg=dict(rcnn=dict(assigner=dict(neg_iou_thr=0.1))),
)
