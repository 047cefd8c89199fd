# default_runtime.py with what makes training faster and changes nothing but rounding: name it in
# its place. docs/performance.md has what each setting gives, and those that belong elsewhere.
_base_ = './default_runtime.py'

default_hooks = dict(
    channels_last=dict(type='mmps.ChannelsLastHook'),
    compilation=dict(type='mmps.CompileHook'),
)
