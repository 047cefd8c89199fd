# The schedule of OIMNet++'s code: SeqNet's with 20 epochs on every dataset. It trains in mixed
# precision, as tools/train.py does with --amp.
_base_ = './seqnet_18e.py'

max_epochs = 20
train_cfg = dict(max_epochs=max_epochs)
