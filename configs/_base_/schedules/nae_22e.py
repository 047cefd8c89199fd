# The schedule of NAE's code: SeqNet's, which comes from it, but 22 epochs and no decay of biases
# (theirs are also those of the norm layers, which MMEngine decays here).
_base_ = './seqnet_18e.py'

max_epochs = 22
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(paramwise_cfg=dict(bias_decay_mult=0.0))
