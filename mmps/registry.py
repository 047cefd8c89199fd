"""Registries of mmps: children, with the scope ``mmps``, of MMEngine's root registries.

A component registered here is reached from any OpenMMLab config as ``type='mmps.Name'`` once
``mmps`` has been imported (``custom_imports=dict(imports=['mmps'])``). ``locations`` lets a
registry import the modules that fill it at the first look-up.
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import Registry

MODELS = Registry('model', parent=MMENGINE_MODELS, scope='mmps', locations=['mmps.models'])
TASK_UTILS = Registry(
    'task util', parent=MMENGINE_TASK_UTILS, scope='mmps', locations=['mmps.models']
)
DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope='mmps', locations=['mmps.datasets'])
DATA_SAMPLERS = Registry(
    'data sampler', parent=MMENGINE_DATA_SAMPLERS, scope='mmps', locations=['mmps.datasets']
)
TRANSFORMS = Registry(
    'transform', parent=MMENGINE_TRANSFORMS, scope='mmps', locations=['mmps.datasets']
)
METRICS = Registry('metric', parent=MMENGINE_METRICS, scope='mmps', locations=['mmps.evaluation'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='mmps', locations=['mmps.engine'])
LOOPS = Registry('loop', parent=MMENGINE_LOOPS, scope='mmps', locations=['mmps.engine'])
PROTOCOLS = Registry(
    'protocol', parent=MMENGINE_FUNCTIONS, scope='mmps', locations=['mmps.evaluation']
)
VISUALIZERS = Registry(
    'visualizer', parent=MMENGINE_VISUALIZERS, scope='mmps', locations=['mmps.visualization']
)

__all__ = [
    'DATASETS',
    'DATA_SAMPLERS',
    'HOOKS',
    'LOOPS',
    'METRICS',
    'MODELS',
    'PROTOCOLS',
    'TASK_UTILS',
    'TRANSFORMS',
    'VISUALIZERS',
]
